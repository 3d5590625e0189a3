#pragma once
/// JSON of what the store holds, the same keys in every command; docs/formats/cli-json.md lists them.

#include <optional>
#include <string_view>

#include "base/json_writer.h"
#include "base/money.h"
#include "store/queries.h"

namespace understudy::app {

/// `"NAME_usd":"0.0000123"`, or null where it is not known.
void write_usd(JsonWriter& w, std::string_view name, const std::optional<Picousd>& amount);

/// `"NAME_usd"` and `"NAME_picousd"` of a sum over `covered` of `requests` records: null where it covers none of some.
void write_usd_sum(JsonWriter& w, std::string_view name, PicousdSum sum, std::int64_t covered, std::int64_t requests);

/// Value of a usage object, null where unknown.
void write_usage(JsonWriter& w, const std::optional<Usage>& usage);

/// `key` with a number, string or boolean, null where it is not known.
void write_optional(JsonWriter& w, std::string_view key, const std::optional<double>& value);
void write_optional(JsonWriter& w, std::string_view key, const std::optional<bool>& value);
/// null where it is "".
void write_text(JsonWriter& w, std::string_view key, std::string_view text);

/// Keys of a request inside an object that the caller has opened.
void write_request_fields(JsonWriter& w, const store::RequestRecord& request);

/// `key` with {"text", "bytes", "truncated"}, or null where no text is stored.
void write_body(JsonWriter& w, std::string_view key, const store::Body& body);

/// `features` with the signals' numbers by name, null where none are stored.
void write_features(JsonWriter& w, const store::AttemptRecord& attempt);

/// Values: whole objects.
void write_attempt(JsonWriter& w, const store::AttemptRecord& attempt);
void write_label(JsonWriter& w, const store::LabelRecord& label);
void write_feedback(JsonWriter& w, const store::FeedbackRecord& feedback);
void write_reservation(JsonWriter& w, const store::ReservationRecord& reservation);

}  // namespace understudy::app
