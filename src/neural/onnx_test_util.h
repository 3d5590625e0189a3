#pragma once
/// Writes a BERT encoder's weights as an ONNX file (opset 17), as exporters write it, so that tests of its reading need no exporter.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "neural/safetensors.h"

namespace understudy::neural::testing {

/// Protocol buffers' wire format: what ONNX files consist of.
class Proto {
 public:
  Proto& number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
    return *this;
  }
  Proto& text(int field, std::string_view bytes) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  Proto& message(int field, const Proto& inner) { return text(field, inner.bytes_); }
  Proto& real(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

class OnnxWriter {
 public:
  struct Sizes {
    std::size_t hidden = 32, heads = 2, layers = 2;
    float epsilon = 1e-12f;
    bool types = true;   ///< token_type_ids is an input; else the first kind's vector is added to every token
  };

  /// @param weights  as model.safetensors has them, in 32 bits, without prefix; gelu is the activation
  static std::string write(const Safetensors& weights, const Sizes& sizes) { return OnnxWriter(weights, sizes).model(); }

 private:
  OnnxWriter(const Safetensors& weights, const Sizes& sizes) : weights_(weights), sizes_(sizes) {}

  std::string model() {
    std::string x = embeddings();
    const std::string mask = node("Mul", {node("Sub", {real("one", 1), node("Unsqueeze", {node("Cast", {"attention_mask"}, {{"to", 1}}), whole({1, 2})})}), real("lowest", -3.4e38f)});
    for (std::size_t i = 0; i < sizes_.layers; ++i) x = layer(x, fmt::format("encoder.layer.{}.", i), mask);
    graph_.message(1, Proto().text(1, x).text(2, "last_hidden_state").text(4, "Identity"));
    graph_.text(2, "bert");
    for (const char* input : {"input_ids", "attention_mask", "token_type_ids"}) {
      if (sizes_.types || std::string_view(input) != "token_type_ids") graph_.message(11, value(input, 7, {}));
    }
    graph_.message(12, value("last_hidden_state", 1, {sizes_.hidden}));
    return Proto().number(1, 8).message(7, graph_).message(8, Proto().text(1, "").number(2, 17)).bytes();
  }

  std::string embeddings() {
    const std::string words = node("Gather", {table("embeddings.word_embeddings.weight"), "input_ids"});
    const std::string kinds = sizes_.types ? node("Gather", {table("embeddings.token_type_embeddings.weight"), "token_type_ids"})
                                           : node("Gather", {table("embeddings.token_type_embeddings.weight"), whole({0})});
    const std::string length = node("Gather", {node("Shape", {"input_ids"}), whole({1})});
    const std::string positions = node("Slice", {table("embeddings.position_embeddings.weight"), whole({0}), length, whole({0})});
    return norm(node("Add", {node("Add", {words, kinds}), positions}), "embeddings.LayerNorm");
  }

  std::string layer(const std::string& x, const std::string& name, const std::string& mask) {
    const auto width = static_cast<std::int64_t>(sizes_.hidden / sizes_.heads);
    const auto heads = [&](const char* part, std::vector<int> order) {
      const std::string split = node("Reshape", {linear(x, name + "attention.self." + part), whole({0, 0, static_cast<std::int64_t>(sizes_.heads), width})});
      return node("Transpose", {split}, {}, {{"perm", std::move(order)}});
    };
    const std::string scores = node("Div", {node("MatMul", {heads("query", {0, 2, 1, 3}), heads("key", {0, 2, 3, 1})}), real("root", std::sqrt(static_cast<float>(width)))});
    const std::string attended = node("MatMul", {node("Softmax", {node("Add", {scores, mask})}, {{"axis", -1}}), heads("value", {0, 2, 1, 3})});
    const std::string joined = node("Reshape", {node("Transpose", {attended}, {}, {{"perm", {0, 2, 1, 3}}}), whole({0, 0, static_cast<std::int64_t>(sizes_.hidden)})});
    const std::string y = norm(node("Add", {linear(joined, name + "attention.output.dense"), x}), name + "attention.output.LayerNorm");
    const std::string up = linear(y, name + "intermediate.dense");
    const std::string erf = node("Erf", {node("Div", {up, real("sqrt2", std::sqrt(2.0f))})});
    const std::string gelu = node("Mul", {node("Mul", {up, node("Add", {erf, real("one", 1)})}), real("half", 0.5f)});
    return norm(node("Add", {linear(gelu, name + "output.dense"), y}), name + "output.LayerNorm");
  }

  std::string linear(const std::string& x, const std::string& name) {
    const Tensor& weight = *weights_.find(name + ".weight");
    const std::size_t outputs = weight.shape[0], inputs = weight.shape[1];
    std::string turned(weight.bytes.size(), '\0');
    for (std::size_t o = 0; o < outputs; ++o) {
      for (std::size_t i = 0; i < inputs; ++i) std::memcpy(&turned[(i * outputs + o) * 4], &weight.bytes[(o * inputs + i) * 4], 4);
    }
    tensor(name + ".turned", 1, {inputs, outputs}, turned);
    return node("Add", {node("MatMul", {x, name + ".turned"}), table(name + ".bias")});
  }
  std::string norm(const std::string& x, const std::string& name) {
    return node("LayerNormalization", {x, table(name + ".weight"), table(name + ".bias")}, {{"axis", -1}}, {}, sizes_.epsilon);
  }

  std::string node(const char* type, const std::vector<std::string>& inputs, const std::vector<std::pair<const char*, int>>& numbers = {},
                   const std::vector<std::pair<const char*, std::vector<int>>>& lists = {}, float epsilon = 0) {
    Proto made;
    for (const std::string& input : inputs) made.text(1, input);
    std::string output = fmt::format("{}_{}", type, ++nodes_);
    made.text(2, output).text(4, type);
    for (const auto& [name, value] : numbers) made.message(5, Proto().text(1, name).number(3, static_cast<std::uint64_t>(static_cast<std::int64_t>(value))).number(20, 2));
    for (const auto& [name, values] : lists) {
      Proto list;
      list.text(1, name);
      for (const int v : values) list.number(8, static_cast<std::uint64_t>(v));
      made.message(5, list.number(20, 7));
    }
    if (epsilon > 0) made.message(5, Proto().text(1, "epsilon").real(2, epsilon).number(20, 1));
    graph_.message(1, made);
    return output;
  }

  void tensor(const std::string& name, int type, const std::vector<std::size_t>& shape, std::string_view bytes) {
    Proto made;
    for (const std::size_t size : shape) made.number(1, size);
    graph_.message(5, made.number(2, static_cast<std::uint64_t>(type)).text(8, name).text(9, bytes));
  }
  std::string table(const std::string& name) {
    const Tensor& found = *weights_.find(name);
    tensor(name, 1, found.shape, found.bytes);
    return name;
  }
  std::string real(const char* name, float value) {
    const std::string unique = fmt::format("{}_{}", name, ++nodes_);
    tensor(unique, 1, {}, {reinterpret_cast<const char*>(&value), sizeof value});
    return unique;
  }
  std::string whole(const std::vector<std::int64_t>& values) {
    const std::string unique = fmt::format("whole_{}", ++nodes_);
    tensor(unique, 7, {values.size()}, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]});
    return unique;
  }

  /// [rows, length] and then `more`.
  static Proto value(const char* name, int type, const std::vector<std::size_t>& more) {
    Proto shape;
    for (const char* free : {"rows", "length"}) shape.message(1, Proto().text(2, free));
    for (const std::size_t size : more) shape.message(1, Proto().number(1, size));
    return Proto().text(1, name).message(2, Proto().message(1, Proto().number(1, static_cast<std::uint64_t>(type)).message(2, shape)));
  }

  const Safetensors& weights_;
  const Sizes sizes_;
  Proto graph_;
  int nodes_ = 0;
};

}  // namespace understudy::neural::testing
