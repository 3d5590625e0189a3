#include "neural/openvino/bert_graph.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <openvino/core/model.hpp>
#include <openvino/opsets/opset13.hpp>

namespace understudy::neural::internal {
namespace {

namespace op = ov::opset13;
using Node = ov::Output<ov::Node>;

template <typename T>
Node constant(ov::element::Type type, const ov::Shape& shape, const std::vector<T>& values) {
  return op::Constant::create(type, shape, values);
}
Node scalar(float value) { return constant<float>(ov::element::f32, {}, {value}); }
Node integers(const std::vector<std::int64_t>& values) { return constant(ov::element::i64, {values.size()}, values); }

/// A constant in the network's own memory.
Node view(std::span<const float> values, const ov::Shape& shape) {
  const ov::Tensor tensor(ov::element::f32, shape, const_cast<float*>(values.data()));
  return std::make_shared<op::Constant>(tensor);
}

class Builder {
 public:
  Builder(const BertNetwork& network, bool int8_weights) : net_(network), int8_weights_(int8_weights) {}

  std::shared_ptr<ov::Model> build() {
    const ov::PartialShape shape{-1, -1};
    const auto ids = std::make_shared<op::Parameter>(ov::element::i32, shape);
    const auto mask = std::make_shared<op::Parameter>(ov::element::i32, shape);
    const auto types = std::make_shared<op::Parameter>(ov::element::i32, shape);
    const Node mask_f = std::make_shared<op::Convert>(mask, ov::element::f32);

    // 0 for a token, the lowest number for padding: [rows, 1, 1, length].
    const Node padding = std::make_shared<op::Multiply>(std::make_shared<op::Subtract>(scalar(1), mask_f),
                                                        scalar(std::numeric_limits<float>::lowest()));
    const Node attention_mask = std::make_shared<op::Unsqueeze>(padding, integers({1, 2}));

    Node x = embeddings(ids, types);
    for (const BertLayer& layer : net_.layers) x = encoder_layer(x, layer, attention_mask);
    return std::make_shared<ov::Model>(with_sentences(x, mask, net_.pooling), ov::ParameterVector{ids, mask, types}, "bert");
  }

 private:
  Node embeddings(const Node& ids, const Node& types) {
    const Node axis = constant<std::int32_t>(ov::element::i32, {}, {0});
    const Node words = std::make_shared<op::Gather>(view(net_.word_table, {net_.vocabulary, net_.hidden}), ids, axis);
    const Node kinds = std::make_shared<op::Gather>(view(net_.type_table, {net_.types, net_.hidden}), types, axis);
    const Node length = std::make_shared<op::Gather>(std::make_shared<op::ShapeOf>(ids), integers({1}), axis);
    const Node positions = std::make_shared<op::Slice>(view(net_.position_table, {net_.max_positions, net_.hidden}), integers({0}), length,
                                                       integers({1}), integers({0}));
    const Node sum = std::make_shared<op::Add>(std::make_shared<op::Add>(words, kinds), positions);
    return layer_norm(sum, net_.embedding_norm);
  }

  Node encoder_layer(const Node& x, const BertLayer& layer, const Node& attention_mask) {
    const Node attended = std::make_shared<op::ScaledDotProductAttention>(heads(linear(x, layer.query, net_.hidden, net_.hidden)),
                                                                          heads(linear(x, layer.key, net_.hidden, net_.hidden)),
                                                                          heads(linear(x, layer.value, net_.hidden, net_.hidden)),
                                                                          attention_mask, false);
    const Node joined = std::make_shared<op::Reshape>(std::make_shared<op::Transpose>(attended, integers({0, 2, 1, 3})),
                                                      integers({0, 0, static_cast<std::int64_t>(net_.hidden)}), true);
    const Node y = layer_norm(std::make_shared<op::Add>(linear(joined, layer.attention_output, net_.hidden, net_.hidden), x),
                              layer.attention_norm);
    const Node wide = activated(linear(y, layer.up, net_.intermediate, net_.hidden));
    return layer_norm(std::make_shared<op::Add>(linear(wide, layer.down, net_.hidden, net_.intermediate), y), layer.output_norm);
  }

  /// [rows, length, hidden] to [rows, heads, length, hidden / heads].
  Node heads(const Node& x) {
    const auto count = static_cast<std::int64_t>(net_.heads), width = static_cast<std::int64_t>(net_.hidden / net_.heads);
    const Node split = std::make_shared<op::Reshape>(x, integers({0, 0, count, width}), true);
    return std::make_shared<op::Transpose>(split, integers({0, 2, 1, 3}));
  }

  Node linear(const Node& x, const Linear& layer, std::size_t outputs, std::size_t inputs) {
    const Node weight = int8_weights_ ? rounded_weights(layer.weight, outputs, inputs) : view(layer.weight, {outputs, inputs});
    return std::make_shared<op::Add>(std::make_shared<op::MatMul>(x, weight, false, true), view(layer.bias, {outputs}));
  }

  Node layer_norm(const Node& x, const LayerNorm& norm) {
    const Node standard = std::make_shared<op::MVN>(x, integers({-1}), true, net_.norm_epsilon, ov::op::MVNEpsMode::INSIDE_SQRT);
    const Node scaled = std::make_shared<op::Multiply>(standard, view(norm.scale, {net_.hidden}));
    return std::make_shared<op::Add>(scaled, view(norm.shift, {net_.hidden}));
  }

  Node activated(const Node& x) const {
    switch (net_.activation) {
      case Activation::kGelu: return std::make_shared<op::Gelu>(x, ov::op::GeluApproximationMode::ERF);
      case Activation::kGeluTanh: return std::make_shared<op::Gelu>(x, ov::op::GeluApproximationMode::TANH);
      case Activation::kRelu: break;
    }
    return std::make_shared<op::Relu>(x);
  }

  const BertNetwork& net_;
  const bool int8_weights_;
};

Node masked_mean(const Node& x, const Node& mask) {
  const Node weights = std::make_shared<op::Unsqueeze>(mask, integers({2}));
  const Node sum = std::make_shared<op::ReduceSum>(std::make_shared<op::Multiply>(x, weights), integers({1}), false);
  return std::make_shared<op::Divide>(sum, std::make_shared<op::ReduceSum>(mask, integers({1}), true));
}

Node first_token(const Node& x) {
  return std::make_shared<op::Gather>(x, constant<std::int32_t>(ov::element::i32, {}, {0}), constant<std::int32_t>(ov::element::i32, {}, {1}));
}

}  // namespace

Node rounded_weights(std::span<const float> weight, std::size_t outputs, std::size_t inputs) {
  std::vector<std::int8_t> values(weight.size());
  std::vector<float> scales(outputs);
  for (std::size_t row = 0; row < outputs; ++row) {
    const std::span<const float> from = weight.subspan(row * inputs, inputs);
    float most = 0;
    for (const float w : from) most = std::max(most, std::fabs(w));
    scales[row] = most > 0 ? most / 127 : 1;
    for (std::size_t i = 0; i < inputs; ++i) values[row * inputs + i] = static_cast<std::int8_t>(std::lrint(from[i] / scales[row]));
  }
  const Node converted = std::make_shared<op::Convert>(constant(ov::element::i8, {outputs, inputs}, values), ov::element::f32);
  return std::make_shared<op::Multiply>(converted, constant(ov::element::f32, {outputs, 1}, scales));
}

ov::OutputVector with_sentences(const Node& tokens, const Node& mask, Pooling pooling) {
  const Node pooled = pooling == Pooling::kMean ? masked_mean(tokens, std::make_shared<op::Convert>(mask, ov::element::f32)) : first_token(tokens);
  return {std::make_shared<op::NormalizeL2>(pooled, integers({1}), 1e-12f, ov::op::EpsMode::MAX), tokens};
}

std::shared_ptr<ov::Model> bert_graph(const BertNetwork& network, bool int8_weights) { return Builder(network, int8_weights).build(); }

}  // namespace understudy::neural::internal
