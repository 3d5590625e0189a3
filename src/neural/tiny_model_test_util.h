#pragma once
/// A complete, very small model folder with random weights, so that tests of the encoder need no download of a real one.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/random.h"

namespace understudy::neural::testing {

struct TinyModel {
  std::size_t hidden = 32, heads = 2, layers = 2, intermediate = 64, positions = 40;
  std::string activation = "gelu", pooling = "mean", prefix, type = "F32", model_type = "bert";
  std::string tensor_left_out;
  std::size_t pair_tokens = 0;  // over 0: with a head for pairs
  std::size_t pair_width = 0;   // over 0: which is an interaction head

  static constexpr const char* kVocabulary =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwhere\nis\nmy\ncard\n##s\npin\nthe\nlost\n?\n!\n.\na\n##a\nb\n##b\nmoney\ntransfer\nwhy\nnot\n";
  static constexpr std::size_t kPieces = 24;

  /// Writes the folder anew.
  std::filesystem::path write(const std::string& name) const {
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("understudy_{}_{}", name, getpid());
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder / "1_Pooling");
    put(folder / "vocab.txt", kVocabulary);
    put(folder / "config.json", fmt::format(R"({{"model_type":"{}","hidden_size":{},"num_attention_heads":{},"num_hidden_layers":{},"intermediate_size":{},)"
                                            R"("vocab_size":{},"max_position_embeddings":{},"type_vocab_size":2,"layer_norm_eps":1e-12,"hidden_act":"{}"}})",
                                            model_type, hidden, heads, layers, intermediate, kPieces, positions, activation));
    put(folder / "1_Pooling" / "config.json",
        fmt::format(R"({{"pooling_mode_mean_tokens":{},"pooling_mode_cls_token":{}}})", pooling == "mean", pooling == "cls"));
    const std::string head = pair_width > 0 ? fmt::format(R"("head":"interaction","width":{})", pair_width) : R"("head":"hybrid")";
    if (pair_tokens > 0) put(folder / "pair_head.json", fmt::format(R"({{"schema":"understudy.pair-head/1",{},"max_tokens":{}}})", head, pair_tokens));
    put(folder / "model.safetensors", weights());
    return folder;
  }

  std::string weights() const {
    std::map<std::string, std::vector<std::size_t>> shapes = {{"embeddings.word_embeddings.weight", {kPieces, hidden}},
                                                              {"embeddings.position_embeddings.weight", {positions, hidden}},
                                                              {"embeddings.token_type_embeddings.weight", {2, hidden}}};
    const auto linear = [&](const std::string& name, std::size_t outputs, std::size_t inputs) {
      shapes[name + ".weight"] = {outputs, inputs};
      shapes[name + ".bias"] = {outputs};
    };
    const auto norm = [&](const std::string& name) { shapes[name + ".weight"] = shapes[name + ".bias"] = {hidden}; };
    norm("embeddings.LayerNorm");
    for (std::size_t i = 0; i < layers; ++i) {
      const std::string layer = fmt::format("encoder.layer.{}.", i);
      for (const char* part : {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}) linear(layer + part, hidden, hidden);
      norm(layer + "attention.output.LayerNorm");
      linear(layer + "intermediate.dense", intermediate, hidden);
      linear(layer + "output.dense", hidden, intermediate);
      norm(layer + "output.LayerNorm");
    }
    if (pair_tokens > 0 && pair_width == 0) {
      shapes["pair_head.weight"] = {hidden};
      shapes["pair_head.bias"] = shapes["pair_head.cosine"] = {1};
    } else if (pair_tokens > 0) {
      shapes["pair_head.weight"] = shapes["pair_head.inner_bias"] = {pair_width};
      shapes["pair_head.bias"] = {1};
      shapes["pair_head.inner"] = {5 * hidden, pair_width};
    }
    SeededRandom random(7);
    std::string header = "{", data;
    for (const auto& [name, shape] : shapes) {
      const bool scale = name.ends_with("LayerNorm.weight");
      const std::size_t begin = data.size();
      std::size_t count = 1;
      for (const std::size_t size : shape) count *= size;
      for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>((scale ? 1 : 0) + (random.uniform() - 0.5) * 0.5);
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, 4);
        if (type == "BF16") bits >>= 16;
        data.append(reinterpret_cast<const char*>(&bits), type == "BF16" ? 2 : 4);
      }
      if (name == tensor_left_out) {
        data.resize(begin);
        continue;
      }
      header += fmt::format(R"({}"{}{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", header.size() > 1 ? "," : "", prefix, name, type,
                            fmt::join(shape, ","), begin, data.size());
    }
    header += "}";
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + data;
  }

 private:
  static void put(const std::filesystem::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }
};

}  // namespace understudy::neural::testing
