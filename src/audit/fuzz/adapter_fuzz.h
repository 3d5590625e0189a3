#pragma once
/// Any bytes as a trace of one format, through the whole audit: chunks, adapter, commit, figures, the three reports.

#include <cstddef>
#include <cstdint>
#include <string>

#include "audit/report.h"

namespace understudy::audit {

inline int fuzz_adapter(Format format, const std::uint8_t* data, std::size_t size) {
  static const PriceBook book = [] {
    auto parsed = PriceBook::parse(R"({"schema":"understudy.prices/1","unit":"usd_per_1M_tokens","models":[
      {"id":"gpt-4o","match":[{"contains":"gpt"}],"prices":[{"in":"2.5","out":"10","cache_read":"1.25","above_input_tokens":{"200000":{"in":"5"}}}]},
      {"id":"claude","match":[{"contains":"claude"}],"prices":[{"in":"3","out":"15"},{"from":"2026-01-01","in":"4","out":"15"}]},
      {"id":"specialist","tier":"specialist","prices":[{"in":"0.02","out":"0.02"}]}]})", "fuzz");
    return parsed ? std::move(*parsed) : PriceBook();
  }();
  EngineOptions options;
  options.format = format;
  options.threads = 1;
  options.limits = {4096, 1 << 16};
  options.now = {1'780'000'000'000'000};
  auto ledger = read_text(std::string(reinterpret_cast<const char*>(data), size), book, {}, options);
  if (!ledger) return 0;
  FigureOptions figures;
  figures.now = options.now;
  const Report report = compute_figures(**ledger, figures, CostChoice::kBook);
  (void)report_json(report);
  (void)report_text(report, {});
  (void)report_html(report);
  (void)guesses_json(report);
  return 0;
}

}  // namespace understudy::audit
