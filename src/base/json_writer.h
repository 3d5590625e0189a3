#pragma once
/// The one JSON writer: appends to a std::string, keeps track of commas, never validates what the caller nests (an
/// assertion in debug builds checks that scopes are closed in order). Reading is simdjson's job.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy {

/// Appends `text` as a JSON string with quotes. Bytes that are not valid UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

/// Appends a finite `value` with a fixed number of decimals, 0 to 60.
void append_fixed(std::string& out, double value, int decimals);

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& string(std::string_view text);
  JsonWriter& integer(std::int64_t value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  /// Shortest digits that read back as the same double; NaN and infinities become null.
  JsonWriter& number(double value);
  /// `value` with a fixed number of decimals.
  JsonWriter& fixed(double value, int decimals);
  /// Splices text that is JSON already.
  JsonWriter& raw(std::string_view json);

  // key and value in one call
  JsonWriter& field(std::string_view name, std::string_view text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, const char* text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, std::same_as<bool> auto value) { return key(name).boolean(value); }
  JsonWriter& field(std::string_view name, double value) { return key(name).number(value); }
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  JsonWriter& field(std::string_view name, I value) { return key(name).integer(static_cast<std::int64_t>(value)); }

 private:
  JsonWriter& open(char c);
  JsonWriter& close(char c);
  void comma();

  std::string& out_;
  bool need_comma_ = false;
};

}  // namespace understudy
