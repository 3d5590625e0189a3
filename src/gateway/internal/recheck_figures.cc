#include "base/money.h"
#include "gateway/internal/exposition.h"

namespace understudy::gateway::internal {

void recheck_figures(Exposition& out, const std::vector<monitors::RecheckReport>& reports) {
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto&& value_of) {
    out.head(name, type, help);
    for (const monitors::RecheckReport& r : reports) out.value(name, label("specialist", r.specialist), value_of(r));
  };
  const auto of_last = [&](std::string_view name, std::string_view help, auto&& value_of) {
    out.head(name, "gauge", help);
    for (const monitors::RecheckReport& r : reports) {
      if (r.last) out.value(name, label("specialist", r.specialist), value_of(*r.last));
    }
  };
  of_last("recheck_agreement", "Share of rows on which specialist and teacher agreed at the last recheck.", [](const auto& last) { return last.all.share(); });
  of_last("recheck_agreement_low", "Lower end of its 95 % interval.", [](const auto& last) { return last.all.interval.low; });
  of_last("recheck_agreement_high", "Upper end of it.", [](const auto& last) { return last.all.interval.high; });
  of_last("recheck_promised", "Agreement that the specialist's own probabilities promised on these rows.", [](const auto& last) { return last.promised; });
  of_last("recheck_rows", "Rows compared.", [](const auto& last) { return last.all.rows; });
  of_last("recheck_alarm", "1 where it raised the alarm.", [](const auto& last) { return last.alarm.empty() ? 0 : 1; });
  of_last("recheck_timestamp_seconds", "When it was, in seconds since 1970.", [](const auto& last) { return last.at.us / 1'000'000; });
  each("recheck_under_way", "gauge", "1 where a recheck was begun and is not done.", [](const auto& r) { return r.under_way ? 1 : 0; });
  each("recheck_failed_total", "counter", "Rechecks that came to nothing, or could not go on for now.", [](const auto& r) { return r.failed; });
  each("recheck_spent_usd_total", "counter", "Spent on rechecks.", [](const auto& r) { return format_usd(r.spent, 12); });
}

}  // namespace understudy::gateway::internal
