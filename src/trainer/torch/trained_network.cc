#include "trainer/torch/trained_network.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <numeric>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "neural/safetensors.h"

namespace understudy::trainer {
namespace {

constexpr std::size_t kMostChunkTokens = 1024;
constexpr float kFirstCosine = 20;
constexpr std::int64_t kWidth = 256;      // of a new interaction head
constexpr double kFirstDeviation = 0.02;  // of its weights, as BERT's own began
constexpr double kVectorLength = 20;      ///< of what a head of labels reads: with 1 it would learn too slowly

struct Shape {
  std::string name;
  std::vector<std::int64_t> sizes;
};

/// In the order in which the forward pass takes them.
std::vector<Shape> encoder_shapes(const neural::ModelConfig& c) {
  const auto i = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  const std::int64_t hidden = i(c.hidden), wide = i(c.intermediate);
  std::vector<Shape> all{{"embeddings.word_embeddings.weight", {i(c.vocabulary), hidden}},
                         {"embeddings.token_type_embeddings.weight", {i(c.types), hidden}},
                         {"embeddings.position_embeddings.weight", {i(c.max_positions), hidden}}};
  const auto linear = [&](const std::string& name, std::int64_t outputs, std::int64_t inputs) {
    all.push_back({name + ".weight", {outputs, inputs}});
    all.push_back({name + ".bias", {outputs}});
  };
  const auto norm = [&](const std::string& name) {
    all.push_back({name + ".weight", {hidden}});
    all.push_back({name + ".bias", {hidden}});
  };
  norm("embeddings.LayerNorm");
  for (std::size_t layer = 0; layer < c.layers; ++layer) {
    const std::string prefix = fmt::format("encoder.layer.{}.", layer);
    for (const char* part : {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}) linear(prefix + part, hidden, hidden);
    norm(prefix + "attention.output.LayerNorm");
    linear(prefix + "intermediate.dense", wide, hidden);
    linear(prefix + "output.dense", hidden, wide);
    norm(prefix + "output.LayerNorm");
  }
  return all;
}

at::Tensor tensor_of(std::span<const float> values, const std::vector<std::int64_t>& sizes) {
  at::Tensor tensor = at::empty(sizes, at::kFloat);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

using neural::PairHead;
using neural::PairHeadKind;

std::vector<Parameter> head_of(const PairHead& head) {
  const auto width = static_cast<std::int64_t>(head.weight.size());
  std::vector<Parameter> all{{PairHead::kWeight, tensor_of(head.weight, {width}), true, true}, {PairHead::kBias, at::full({1}, head.bias), true, false}};
  if (head.kind == PairHeadKind::kHybrid) {
    all.push_back({PairHead::kCosine, at::full({1}, head.cosine), true, false});
  } else {
    all.push_back({PairHead::kInner, tensor_of(head.inner, {static_cast<std::int64_t>(head.inner.size()) / width, width}), true, true});
    all.push_back({PairHead::kInnerBias, tensor_of(head.inner_bias, {width}), true, false});
  }
  return all;
}

std::vector<Parameter> new_head(const NewHead& head, std::int64_t hidden) {
  if (head.labels > 0) {
    const auto outputs = static_cast<std::int64_t>(head.labels);
    return {{"label_head.weight", at::zeros({outputs, hidden}), true, true}, {"label_head.bias", at::zeros({outputs}), true, false}};
  }
  if (head.kind == PairHeadKind::kHybrid) {
    const std::vector<float> none(static_cast<std::size_t>(hidden));
    return head_of({head.kind, none, 0, kFirstCosine, {}, {}});
  }
  at::manual_seed(head.seed);
  return {{PairHead::kWeight, at::randn({kWidth}) * kFirstDeviation, true, true},
          {PairHead::kBias, at::zeros({1}), true, false},
          {PairHead::kInner, at::randn({5 * hidden, kWidth}) * kFirstDeviation, true, true},
          {PairHead::kInnerBias, at::zeros({kWidth}), true, false}};
}

Result<void> write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) return fail(ErrorKind::kIo, fmt::format("cannot write {}: is the disk full?", path.string()));
  return {};
}

}  // namespace

struct TrainedNetwork::Batch {
  at::Tensor ids, types;                 // [n, length]
  at::Tensor padding;                    // [n, 1, 1, length], 0 or far below; undefined: there is none
  at::Tensor tokens, first, second;      // [n, length, 1]: 1 at tokens of all, of the first text, of the second
};

Result<TrainedNetwork> TrainedNetwork::open(const std::filesystem::path& folder, std::size_t pair_tokens, const NewHead& head) {
  auto model = neural::open_model_folder(folder);
  if (!model) return fail(model.error());
  TrainedNetwork network;
  network.folder_ = std::move(*model);
  network.from_ = folder;
  const neural::ModelFolder& from = *network.folder_;
  network.pair_tokens_ = pair_tokens > 0 ? pair_tokens : from.config.pair_tokens;
  if (network.pair_tokens_ > from.config.max_positions)
    return fail(ErrorKind::kConfig, fmt::format("max_tokens is {}, but {} reads {} tokens at most", network.pair_tokens_, folder.string(), from.config.max_positions));
  const std::string prefix = from.weights.find("embeddings.word_embeddings.weight") == nullptr ? "bert." : "";
  for (Shape& shape : encoder_shapes(from.config)) {
    std::vector<float> store;
    const auto values = neural::as_floats(*from.weights.find(prefix + shape.name), store);  // there, or the folder would not have opened
    if (!values) return fail(values.error());
    network.parameters_.push_back({std::move(shape.name), tensor_of(*values, shape.sizes), false, shape.sizes.size() == 2});
  }
  network.labels_ = head.labels;
  network.head_at_ = network.parameters_.size();
  network.head_ = from.pair_head ? from.pair_head->kind : head.kind;
  auto added = head.labels > 0 || !from.pair_head ? new_head(head, static_cast<std::int64_t>(from.config.hidden)) : head_of(*from.pair_head);
  for (Parameter& parameter : added) network.parameters_.push_back(std::move(parameter));
  for (Parameter& parameter : network.trained()) parameter.value.requires_grad_();
  return network;
}

TrainedNetwork::Batch TrainedNetwork::padded(std::span<const neural::Tokens* const> texts) const {
  std::size_t length = 0, shortest = texts[0]->ids.size();
  for (const auto* text : texts) length = std::max(length, text->ids.size()), shortest = std::min(shortest, text->ids.size());
  const auto n = static_cast<std::int64_t>(texts.size()), l = static_cast<std::int64_t>(length);
  Batch batch;
  batch.ids = at::zeros({n, l}, at::kLong);
  batch.types = at::zeros({n, l}, at::kLong);
  batch.first = at::zeros({n, l, 1}, at::kFloat);
  batch.second = at::zeros({n, l, 1}, at::kFloat);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    const neural::Tokens& text = *texts[row];
    for (std::size_t t = 0; t < text.ids.size(); ++t) {
      const std::size_t place = row * length + t;
      const bool is_second = text.second > 0 && t >= text.second;
      batch.ids.mutable_data_ptr<std::int64_t>()[place] = text.ids[t];
      batch.types.mutable_data_ptr<std::int64_t>()[place] = is_second ? 1 : 0;
      (is_second ? batch.second : batch.first).mutable_data_ptr<float>()[place] = 1;
    }
  }
  batch.tokens = batch.first + batch.second;
  if (shortest < length) batch.padding = ((batch.tokens - 1) * 1e30f).view({n, 1, 1, l});
  return batch;
}

at::Tensor TrainedNetwork::encode(const Batch& batch, double dropout) const {
  const neural::ModelConfig& c = folder_->config;
  const std::int64_t n = batch.ids.size(0), length = batch.ids.size(1), heads = static_cast<std::int64_t>(c.heads), hidden = static_cast<std::int64_t>(c.hidden);
  std::size_t at = 0;
  const auto linear = [&](const at::Tensor& x) {
    const at::Tensor &weight = next(at), &bias = next(at);
    return at::linear(x, weight, bias);
  };
  const auto norm = [&](const at::Tensor& x) {
    const at::Tensor &scale = next(at), &shift = next(at);
    return at::layer_norm(x, {hidden}, scale, shift, static_cast<double>(c.norm_epsilon));
  };
  const auto dropped = [&](const at::Tensor& x) { return dropout > 0 ? at::dropout(x, dropout, true) : x; };
  const auto split = [&](const at::Tensor& x) { return x.view({n, length, heads, hidden / heads}).transpose(1, 2); };

  const at::Tensor &words = next(at), &types = next(at), &positions = next(at);
  at::Tensor x = at::embedding(words, batch.ids) + at::embedding(types, batch.types) + positions.narrow(0, 0, length);
  x = dropped(norm(x));
  std::optional<at::Tensor> mask;
  if (batch.padding.defined()) mask = batch.padding.expand({n, 1, length, length});
  for (std::size_t layer = 0; layer < c.layers; ++layer) {
    const at::Tensor query = split(linear(x)), key = split(linear(x)), value = split(linear(x));
    const at::Tensor attended = at::scaled_dot_product_attention(query, key, value, mask);
    x = norm(dropped(linear(attended.transpose(1, 2).reshape({n, length, hidden}))) + x);
    at::Tensor wide = linear(x);
    switch (c.activation) {
      case neural::Activation::kGelu: wide = at::gelu(wide); break;
      case neural::Activation::kGeluTanh: wide = at::gelu(wide, "tanh"); break;
      case neural::Activation::kRelu: wide = at::relu(wide); break;
    }
    x = norm(dropped(linear(wide)) + x);
  }
  return x;
}

at::Tensor TrainedNetwork::head(const Batch& batch, const at::Tensor& vectors, double dropout) const {
  std::size_t at = head_at_;
  const at::Tensor &weight = next(at), &bias = next(at);
  const auto dropped = [&](const at::Tensor& x) { return dropout > 0 ? at::dropout(x, dropout, true) : x; };
  const auto mean = [&] { return (vectors * batch.tokens).sum(1) / batch.tokens.sum(1); };
  if (labels_ > 0) {
    const at::Tensor m = mean();
    return at::linear(dropped(kVectorLength * m / m.norm(2, {1}, true).clamp_min(1e-12)), weight, bias);
  }
  const at::Tensor a = (vectors * batch.first).sum(1), b = (vectors * batch.second).sum(1);
  if (head_ == PairHeadKind::kInteraction) {
    const at::Tensor &inner = next(at), &inner_bias = next(at);
    const at::Tensor u = a / batch.first.sum(1), v = b / batch.second.sum(1);
    const at::Tensor x = at::cat({vectors.select(1, 0), u, v, (u - v).abs(), u * v}, 1);
    return at::mv(dropped(at::tanh(at::addmm(inner_bias, dropped(x), inner))), weight) + bias;
  }
  const at::Tensor& cosine = next(at);
  const at::Tensor lengths = ((a * a).sum(1) * (b * b).sum(1)).sqrt().clamp_min(1e-12);
  return at::mv(dropped(mean()), weight) + bias + cosine * ((a * b).sum(1) / lengths);
}

neural::Tokens TrainedNetwork::tokens(std::string_view first, std::string_view second) const {
  return labels_ > 0 ? folder_->tokenizer.encode(first, pair_tokens_) : folder_->tokenizer.encode_pair(first, second, pair_tokens_);
}

at::Tensor TrainedNetwork::scores(std::span<const neural::Tokens* const> pairs, double dropout) const {
  // Like lengths together: little is computed for padding.
  std::vector<std::int64_t> order(pairs.size()), back(pairs.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto length = [&](std::int64_t i) { return pairs[static_cast<std::size_t>(i)]->ids.size(); };
  std::ranges::stable_sort(order, {}, length);
  std::vector<at::Tensor> parts;
  for (std::size_t begin = 0; begin < order.size();) {
    std::vector<const neural::Tokens*> chunk;
    std::size_t end = begin;
    while (end < order.size() && (chunk.empty() || (chunk.size() + 1) * length(order[end]) <= kMostChunkTokens)) {
      back[static_cast<std::size_t>(order[end])] = static_cast<std::int64_t>(end);
      chunk.push_back(pairs[static_cast<std::size_t>(order[end++])]);
    }
    const Batch batch = padded(chunk);
    parts.push_back(head(batch, encode(batch, dropout), dropout));
    begin = end;
  }
  return at::cat(parts).index_select(0, at::tensor(back));
}

at::Tensor TrainedNetwork::means(std::span<const neural::Tokens* const> texts) const {
  const Batch batch = padded(texts);
  const at::Tensor mean = (encode(batch, 0) * batch.tokens).sum(1) / batch.tokens.sum(1);
  return mean / mean.norm(2, {1}, true).clamp_min(1e-12);
}

Result<void> TrainedNetwork::save(const std::filesystem::path& folder) const {
  std::error_code ec;
  for (const char* file : {"config.json", "vocab.txt", "tokenizer_config.json", "sentence_bert_config.json", "1_Pooling/config.json"}) {
    if (!std::filesystem::exists(from_ / file, ec)) continue;
    std::filesystem::create_directories((folder / file).parent_path(), ec);
    std::filesystem::copy_file(from_ / file, folder / file, ec);
    if (ec) return fail(ErrorKind::kIo, fmt::format("cannot copy {} to {}: {}", (from_ / file).string(), folder.string(), ec.message()));
  }
  if (labels_ == 0) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().field("schema", "understudy.pair-head/1").field("head", neural::pair_head_name(head_));
    if (head_ == PairHeadKind::kInteraction) w.field("width", parameters_[head_at_].value.size(0));
    w.field("max_tokens", pair_tokens_).end_object();
    if (auto done = write_bytes(folder / "pair_head.json", json + "\n"); !done) return done;
  }
  std::vector<neural::NewTensor> tensors;
  for (const Parameter& parameter : parameters_) {
    if (labels_ > 0 && parameter.is_head) continue;  // whoever classifies learns its own from the vectors
    const at::Tensor value = parameter.value.detach().contiguous();
    neural::NewTensor tensor{parameter.name, "F32", {}, std::string(static_cast<std::size_t>(value.nbytes()), '\0')};
    for (const std::int64_t size : value.sizes()) tensor.shape.push_back(static_cast<std::size_t>(size));
    std::memcpy(tensor.bytes.data(), value.const_data_ptr<float>(), tensor.bytes.size());
    tensors.push_back(std::move(tensor));
  }
  return write_bytes(folder / "model.safetensors", neural::write_safetensors(tensors));
}

}  // namespace understudy::trainer
