#include "neural/encoder_identity.h"

#include <simdjson.h>

#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/hash.h"
#include "base/json_writer.h"

namespace understudy::neural {

namespace {

constexpr std::array<std::pair<std::string_view, std::string EncoderIdentity::*>, 7> kFields = {{{"model", &EncoderIdentity::model},
                                                                                                 {"weights_sha256", &EncoderIdentity::weights_sha256},
                                                                                                 {"tokenizer_sha256", &EncoderIdentity::tokenizer_sha256},
                                                                                                 {"settings", &EncoderIdentity::settings},
                                                                                                 {"precision", &EncoderIdentity::precision},
                                                                                                 {"instruction_set", &EncoderIdentity::instruction_set},
                                                                                                 {"runtime", &EncoderIdentity::runtime}}};

}  // namespace

std::string EncoderIdentity::key() const {
  const Hash128 hash = hash128(fmt::format("{}\n{}\n{}\n{}\n{}\n{}", weights_sha256, tokenizer_sha256, settings, precision, instruction_set, runtime));
  return fmt::format("{:016x}", hash.high);
}

std::string EncoderIdentity::text() const {
  return fmt::format("{} {} {} {} weights {}", model, precision, instruction_set, runtime, weights_sha256.substr(0, 16));
}

std::string EncoderIdentity::difference(const EncoderIdentity& other) const {
  std::vector<std::string> differences;
  const auto compare = [&](std::string_view what, const std::string& mine, const std::string& theirs) {
    if (mine != theirs) differences.push_back(fmt::format("{} {} against {}", what, mine.substr(0, 80), theirs.substr(0, 80)));
  };
  compare("weights", weights_sha256, other.weights_sha256);
  compare("vocabulary", tokenizer_sha256, other.tokenizer_sha256);
  compare("settings", settings, other.settings);
  compare("precision", precision, other.precision);
  compare("instruction set", instruction_set, other.instruction_set);
  compare("runtime", runtime, other.runtime);
  return fmt::format("{}", fmt::join(differences, "; "));
}

std::string EncoderIdentity::to_json() const {
  std::string json;
  JsonWriter w(json);
  w.begin_object();
  for (const auto& [name, field] : kFields) w.field(name, this->*field);
  w.end_object();
  return json;
}

Result<EncoderIdentity> EncoderIdentity::from_json(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(simdjson::padded_string(json)).get(object) != simdjson::SUCCESS) return fail(ErrorKind::kCorrupt, "an encoder's identity must be a JSON object");
  EncoderIdentity identity;
  for (const auto& [name, field] : kFields) {
    std::string_view value;
    if (object[name].get(value) != simdjson::SUCCESS) return fail(ErrorKind::kCorrupt, fmt::format("an encoder's identity: {} is missing or no text", name));
    identity.*field = value;
  }
  return identity;
}

}  // namespace understudy::neural
