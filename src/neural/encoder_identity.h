#pragma once
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::neural {

/// Everything that a vector's numbers depend on. What was fitted or calibrated on one identity holds for no other: whatever is, keeps the
/// identity in its file and compares it when it loads.
struct EncoderIdentity {
  std::string model;             ///< the folder's name; for people only
  std::string weights_sha256;    ///< of model.safetensors (or model.onnx), as sha256sum prints it
  std::string tokenizer_sha256;  ///< of vocab.txt (or tokenizer.json)
  std::string settings;          ///< of the network and tokenizer: "hidden 384, 6 layers of 12 heads, gelu, ..., 256 tokens"
  std::string precision;         ///< precision_name
  std::string instruction_set;   ///< instruction_set_name
  std::string runtime;           ///< "openvino-2026.4.1"

  /// 16 hexadecimal digits over all but `model`.
  std::string key() const;
  /// For people: "all-MiniLM-L6-v2 int8 avx512_vnni openvino-2026.4.1 weights 53aa51172d142c89".
  std::string text() const;
  /// What differs, in words, `model` aside; empty: the same numbers.
  std::string difference(const EncoderIdentity& other) const;

  /// One JSON object with the fields above as texts (docs/formats/encoder-identity.md), and back. Fields that are not known are passed
  /// over. kCorrupt: no object, or a field missing or no text.
  std::string to_json() const;
  static Result<EncoderIdentity> from_json(std::string_view json);

  friend bool operator==(const EncoderIdentity&, const EncoderIdentity&) = default;
};

}  // namespace understudy::neural
