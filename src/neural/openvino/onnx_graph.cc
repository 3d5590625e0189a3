#include "neural/openvino/onnx_graph.h"

#include <array>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include <openvino/core/graph_util.hpp>
#include <openvino/core/model.hpp>
#include <openvino/frontend/manager.hpp>
#include <openvino/opsets/opset13.hpp>

#include "neural/openvino/bert_graph.h"

namespace understudy::neural::internal {
namespace {

namespace op = ov::opset13;
using Node = ov::Output<ov::Node>;

constexpr std::array<const char*, 3> kInputs = {"input_ids", "attention_mask", "token_type_ids"};

std::size_t input_number(const op::Parameter& parameter) {
  const auto names = parameter.output(0).get_names();
  for (std::size_t i = 0; i < kInputs.size(); ++i) {
    if (names.contains(kInputs[i]) || parameter.get_friendly_name() == kInputs[i]) return i;
  }
  throw std::runtime_error(fmt::format("has the input \"{}\"; a BERT encoder takes input_ids, attention_mask and token_type_ids", parameter.get_friendly_name()));
}

/// Ids beyond a table would read what is not there.
void check_table(const Node& ids, std::size_t needed, const char* input) {
  for (const auto& user : ids.get_target_inputs()) {
    if (user.get_index() != 1 || std::string_view(user.get_node()->get_type_name()) != "Gather") continue;
    const ov::PartialShape table = user.get_node()->get_input_partial_shape(0);
    if (table.rank().is_static() && table.size() > 0 && table[0].is_static() && static_cast<std::size_t>(table[0].get_length()) < needed) {
      throw std::runtime_error(fmt::format("has a table of {} rows for {}, and config.json says {}", table[0].get_length(), input, needed));
    }
  }
}

Node tokens_of(const ov::Model& model, std::size_t hidden) {
  for (const auto& result : model.get_results()) {
    const Node value = result->input_value(0);
    const ov::PartialShape& shape = value.get_partial_shape();
    if (shape.rank().is_dynamic() || shape.size() != 3) continue;
    if (shape[2].is_static() && static_cast<std::size_t>(shape[2].get_length()) != hidden) {
      throw std::runtime_error(fmt::format("gives vectors of {} numbers, and config.json's hidden_size is {}", shape[2].get_length(), hidden));
    }
    return value.get_element_type() == ov::element::f32 ? value : Node(std::make_shared<op::Convert>(value, ov::element::f32));
  }
  throw std::runtime_error("has no output of three dimensions (last_hidden_state): export the encoder without a head");
}

void round_matrices(const ov::Model& model) {
  for (const auto& node : model.get_ordered_ops()) {
    const auto product = ov::as_type_ptr<op::MatMul>(node);
    const auto weight = product ? ov::as_type_ptr<op::Constant>(product->get_input_node_shared_ptr(1)) : nullptr;
    if (!weight || weight->get_element_type() != ov::element::f32 || weight->get_shape().size() != 2 || product->get_transpose_a()) continue;
    const std::vector<float> values = weight->cast_vector<float>();
    const bool by_output = product->get_transpose_b();
    const std::size_t outputs = weight->get_shape()[by_output ? 0 : 1], inputs = weight->get_shape()[by_output ? 1 : 0];
    std::vector<float> rows(values);
    for (std::size_t o = 0; o < outputs && !by_output; ++o) {
      for (std::size_t i = 0; i < inputs; ++i) rows[o * inputs + i] = values[i * outputs + o];
    }
    const auto rounded = std::make_shared<op::MatMul>(product->input_value(0), rounded_weights(rows, outputs, inputs), false, true);
    ov::replace_node(product, rounded);
  }
}

/// By the reader of ONNX alone: whatever the bytes are, no reader of another format shall try them. It stays loaded, for the graph refers to it.
std::shared_ptr<ov::Model> read(const std::string& path) {
  static auto* const kReaders = new ov::frontend::FrontEndManager;
  const ov::frontend::FrontEnd::Ptr reader = kReaders->load_by_framework("onnx");
  if (!reader) throw std::runtime_error("cannot be read, since libopenvino_onnx_frontend.so is not beside OpenVINO's other libraries");
  const auto source = reader->load(path);
  if (!source) throw std::runtime_error("is no ONNX model");
  return reader->convert(source);
}

}  // namespace

std::shared_ptr<ov::Model> onnx_graph(const OnnxNetwork& network, bool int8_weights) {
  const std::shared_ptr<ov::Model> file = read(network.path);
  const ov::PartialShape shape{-1, -1};
  ov::ParameterVector inputs;
  for (std::size_t i = 0; i < kInputs.size(); ++i) inputs.push_back(std::make_shared<op::Parameter>(ov::element::i32, shape));
  std::array<bool, 3> there{};
  const std::array<std::size_t, 3> rows = {network.vocabulary, 0, network.types};
  for (const auto& parameter : file->get_parameters()) {
    const std::size_t i = input_number(*parameter);
    const Node converted = std::make_shared<op::Convert>(inputs[i], parameter->get_element_type());
    check_table(parameter->output(0), rows[i], kInputs[i]);
    parameter->output(0).replace(converted);
    there[i] = true;
  }
  if (!there[0] || !there[1]) throw std::runtime_error("does not have the inputs input_ids and attention_mask");
  if (int8_weights) round_matrices(*file);
  const Node tokens = tokens_of(*file, network.hidden);
  return std::make_shared<ov::Model>(with_sentences(tokens, inputs[1], network.pooling), inputs, "onnx");
}

}  // namespace understudy::neural::internal
