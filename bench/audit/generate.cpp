// Writes a plain-JSONL trace for the audit's benchmark: generate ROWS FILE [SEED]. Self-contained; the same seed gives the
// same bytes. Each row has its keys in an order of its own; a request makes 4 calls.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

std::uint64_t state = 0;
std::uint64_t next() {  // splitmix64
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}
std::uint64_t below(std::uint64_t n) { return next() % n; }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: generate ROWS FILE [SEED]\n"), 2;
  const long rows = std::atol(argv[1]);
  state = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  std::FILE* file = std::fopen(argv[2], "wb");
  if (file == nullptr) return std::perror(argv[2]), 2;
  static char buffer[1 << 20];
  std::setvbuf(file, buffer, _IOFBF, sizeof buffer);
  const char* steps[] = {"rewrite", "rerank", "generate", "faithfulness"};
  const char* models[] = {"gpt-4o", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"};
  const char* tiers[] = {"default", "default", "default", "default"};
  const int base_in[] = {200, 12000, 3500, 4000};
  const int base_out[] = {50, 200, 400, 100};
  std::string row;
  std::vector<std::string> fields(12);
  for (long i = 0; i < rows; ++i) {
    const long request = i / 4;
    const int step = static_cast<int>(i % 4);
    const long second = request * 6;  // about 13 weeks for 5 M rows
    const long day = second / 86400;
    // day numbers counted from 2026-01-05, a Monday; months by hand
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int month = 0;
    long of_month = day + 4;
    while (of_month >= lengths[month % 12]) of_month -= lengths[month++ % 12];
    const long s = second % 86400;
    char text[64];
    const int in = base_in[step] + static_cast<int>(below(static_cast<std::uint64_t>(base_in[step])));
    const int out = base_out[step] + static_cast<int>(below(static_cast<std::uint64_t>(base_out[step])));
    const auto put = [&](int at, const char* format, auto... args) {
      std::snprintf(text, sizeof text, format, args...);
      fields[static_cast<std::size_t>(at)] = text;
    };
    put(0, "\"ts\":\"2026-%02d-%02ldT%02ld:%02ld:%02ld.%03dZ\"", month % 12 + 1, of_month + 1, s / 3600, s / 60 % 60, s % 60, step * 200);
    put(1, "\"request_id\":\"req-%012lx\"", static_cast<unsigned long>(request) * 2654435761UL);
    put(2, "\"step\":\"%s\"", steps[step]);
    put(3, "\"model\":\"%s\"", models[below(5)]);
    put(4, "\"tok_in\":%d", in);
    put(5, "\"tok_out\":%d", out);
    put(6, "\"cached_in\":%d", static_cast<int>(below(static_cast<std::uint64_t>(in) / 2)));
    put(7, "\"status\":%d", below(100) == 0 ? 500 : 200);
    put(8, "\"latency_ms\":%d", 100 + static_cast<int>(below(3000)));
    put(9, "\"service_tier\":\"%s\"", tiers[below(4)]);
    put(10, "\"cost_usd\":%.6f", static_cast<double>(in) * 2.5e-6);
    put(11, "\"attempt\":%d", 1);
    for (std::size_t k = fields.size() - 1; k > 0; --k) std::swap(fields[k], fields[below(k + 1)]);
    row = "{";
    for (std::size_t k = 0; k < fields.size(); ++k) {
      if (k > 0) row += ',';
      row += fields[k];
    }
    row += "}\n";
    std::fwrite(row.data(), 1, row.size(), file);
  }
  return std::fclose(file) == 0 ? 0 : 2;
}
