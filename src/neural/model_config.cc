#include "neural/model_folder.h"

#include <simdjson.h>

#include <fmt/format.h>

namespace understudy::neural {
namespace {

constexpr std::size_t kMostOfAnything = std::size_t{1} << 24;  // far above any BERT, far below what overflows

/// One JSON object, with errors that name file and key.
class Object {
 public:
  static Result<Object> parse(std::string_view text, std::string name) {
    Object object;
    object.name_ = std::move(name);
    object.parser_ = std::make_unique<simdjson::dom::parser>();
    if (text.empty()) return object;
    const auto error = object.parser_->parse(simdjson::padded_string(text)).get(object.object_);
    if (error != simdjson::SUCCESS) return fail(ErrorKind::kConfig, fmt::format("{}: is no JSON object: {}", object.name_, simdjson::error_message(error)));
    object.there_ = true;
    return object;
  }

  bool has(std::string_view key) const {
    simdjson::dom::element value;
    return there_ && object_[key].get(value) == simdjson::SUCCESS && !value.is_null();
  }

  /// From 1 on; `other` where the key is absent, 0: it must be there.
  std::size_t size(std::string_view key, std::size_t other = 0) {
    std::uint64_t value = 0;
    if (!has(key)) {
      if (other == 0) problem(key, "is missing: a whole number is needed");
      return other;
    }
    if (object_[key].get(value) != simdjson::SUCCESS || value == 0 || value > kMostOfAnything) {
      problem(key, fmt::format("must be a whole number from 1 to {}", kMostOfAnything));
      return 0;
    }
    return value;
  }
  double number(std::string_view key, double other) {
    double value = other;
    if (has(key) && object_[key].get(value) != simdjson::SUCCESS) problem(key, "must be a number");
    return value;
  }
  bool flag(std::string_view key, bool other) {
    bool value = other;
    if (has(key) && object_[key].get(value) != simdjson::SUCCESS) problem(key, "must be true or false");
    return value;
  }
  std::string_view text(std::string_view key, std::string_view other) {
    std::string_view value = other;
    if (has(key) && object_[key].get(value) != simdjson::SUCCESS) problem(key, "must be a text");
    return value;
  }

  void problem(std::string_view key, std::string_view what) {
    if (!problem_) problem_ = Error(ErrorKind::kConfig, fmt::format("{}: {} {}", name_, key, what));
  }
  void unsupported(std::string_view key, std::string_view value, std::string_view known) {
    if (!problem_) problem_ = Error(ErrorKind::kUnsupported, fmt::format("{}: {} \"{}\" cannot be computed; there is: {}", name_, key, value, known));
  }
  const std::optional<Error>& problem() const { return problem_; }

 private:
  std::string name_;
  std::unique_ptr<simdjson::dom::parser> parser_;  // owns what object_ points to
  simdjson::dom::object object_;
  bool there_ = false;
  std::optional<Error> problem_;
};

void read_network(Object& file, ModelConfig& config) {
  if (const auto type = file.text("model_type", ""); type != "bert") file.unsupported("model_type", type, "bert");
  if (const auto kind = file.text("position_embedding_type", "absolute"); kind != "absolute") file.unsupported("position_embedding_type", kind, "absolute");
  config.hidden = file.size("hidden_size");
  config.heads = file.size("num_attention_heads");
  config.layers = file.size("num_hidden_layers");
  config.intermediate = file.size("intermediate_size");
  config.vocabulary = file.size("vocab_size");
  config.max_positions = file.size("max_position_embeddings", 512);
  config.types = file.size("type_vocab_size", 2);
  const double epsilon = file.number("layer_norm_eps", 1e-12);
  if (!(epsilon > 0 && epsilon < 1)) file.problem("layer_norm_eps", "must lie between 0 and 1");
  config.norm_epsilon = static_cast<float>(epsilon);
  const auto activation = file.text("hidden_act", "gelu");
  if (activation == "gelu") config.activation = Activation::kGelu;
  else if (activation == "gelu_new" || activation == "gelu_pytorch_tanh") config.activation = Activation::kGeluTanh;
  else if (activation == "relu") config.activation = Activation::kRelu;
  else file.unsupported("hidden_act", activation, "gelu, gelu_new, relu");
  if (file.problem()) return;
  if (config.hidden % config.heads != 0) file.problem("hidden_size", "must be a multiple of num_attention_heads");
  if (config.types < 2) file.problem("type_vocab_size", "must be 2 or more");
  if (config.max_positions < 8) file.problem("max_position_embeddings", "must be 8 or more");
  if (config.layers > 1000 || config.hidden > 65536 || config.intermediate > 1048576) file.problem("num_hidden_layers", "and the sizes beside it are those of no BERT");
}

void read_pooling(Object& file, ModelConfig& config) {
  const bool mean = file.flag("pooling_mode_mean_tokens", !file.has("pooling_mode_cls_token")), first = file.flag("pooling_mode_cls_token", false);
  for (const std::string_view other : {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"})
    if (file.flag(other, false)) file.unsupported("pooling", other, "pooling_mode_mean_tokens, pooling_mode_cls_token");
  if (mean == first) file.problem("pooling_mode_mean_tokens", "or pooling_mode_cls_token must be true, and not both");
  config.pooling = first ? Pooling::kFirstToken : Pooling::kMean;
}

/// Only what understudy-trainer wrote: another head would be computed wrongly.
void read_pair_head(Object& file, ModelConfig& config) {
  if (const auto schema = file.text("schema", ""); schema != "understudy.pair-head/1") file.unsupported("schema", schema, "understudy.pair-head/1");
  const auto head = file.text("head", "");
  if (const auto kind = parse_pair_head(head)) config.pair_head = *kind;
  else file.unsupported("head", head, "hybrid, interaction");
  if (config.pair_head == PairHeadKind::kInteraction) {
    config.pair_width = file.size("width");
    if (config.pair_width > kMostPairWidth) file.problem("width", fmt::format("must be at most {}", kMostPairWidth));
  }
  config.pair_tokens = file.size("max_tokens");
  if (!file.problem() && (config.pair_tokens < 5 || config.pair_tokens > config.max_positions))
    file.problem("max_tokens", fmt::format("must be 5 to {}, as many as config.json has positions", config.max_positions));
}

}  // namespace

Result<ModelConfig> parse_model_config(const ModelConfigFiles& files, std::string_view place) {
  const auto named = [&](std::string_view file) { return fmt::format("{}/{}", place, file); };
  auto network = Object::parse(files.config, named("config.json"));
  if (!network) return fail(network.error());
  auto tokenizer = Object::parse(files.tokenizer, named("tokenizer_config.json"));
  if (!tokenizer) return fail(tokenizer.error());
  auto sentence = Object::parse(files.sentence, named("sentence_bert_config.json"));
  if (!sentence) return fail(sentence.error());
  auto pooling = Object::parse(files.pooling, named("1_Pooling/config.json"));
  if (!pooling) return fail(pooling.error());
  auto pair_head = Object::parse(files.pair_head, named("pair_head.json"));
  if (!pair_head) return fail(pair_head.error());

  ModelConfig config;
  read_network(*network, config);
  read_pooling(*pooling, config);
  config.tokenizer.lowercase = tokenizer->flag("do_lower_case", true);
  config.tokenizer.strip_accents = tokenizer->flag("strip_accents", config.tokenizer.lowercase);
  config.tokenizer.split_han = tokenizer->flag("tokenize_chinese_chars", true);
  const std::size_t positions = std::max<std::size_t>(config.max_positions, 1);
  config.max_tokens = std::min(sentence->size("max_seq_length", positions), positions);
  if (!sentence->problem() && config.max_tokens < 4) sentence->problem("max_seq_length", "must be 4 or more");
  if (!files.pair_head.empty()) read_pair_head(*pair_head, config);
  for (const Object* file : {&*network, &*tokenizer, &*sentence, &*pooling, &*pair_head})
    if (file->problem()) return fail(*file->problem());
  return config;
}

Result<std::string> vocabulary_of(std::string_view tokenizer_json, std::string_view place) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::object pieces;
  std::string_view type;
  if (parser.parse(simdjson::padded_string(tokenizer_json)).get(root) != simdjson::SUCCESS) return fail(ErrorKind::kConfig, fmt::format("{}: is no JSON", place));
  if (root["model"]["type"].get(type) != simdjson::SUCCESS || type != "WordPiece") return fail(ErrorKind::kUnsupported, fmt::format("{}: its tokenizer is no WordPiece, as BERT's is", place));
  if (root["model"]["vocab"].get(pieces) != simdjson::SUCCESS) return fail(ErrorKind::kConfig, fmt::format("{}: has no vocabulary (model.vocab)", place));
  std::vector<std::string_view> by_id(pieces.size());
  for (const auto [piece, value] : pieces) {
    std::uint64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS || id >= by_id.size() || by_id[id].data() != nullptr || piece.find('\n') != std::string_view::npos) {
      return fail(ErrorKind::kConfig, fmt::format("{}: the ids of model.vocab must be 0 to {}, each once, and a piece is on one line; \"{}\" is not so", place, by_id.size() - 1, piece));
    }
    by_id[id] = piece;
  }
  std::string lines;
  for (const std::string_view piece : by_id) lines.append(piece).push_back('\n');
  return lines;
}

}  // namespace understudy::neural
