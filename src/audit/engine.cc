#include "audit/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <thread>

#include "audit/commit.h"
#include "audit/csv.h"
#include "audit/worker.h"

namespace understudy::audit {
namespace {

std::uint8_t merge_request(std::uint8_t old, std::uint8_t add) {
  const unsigned calls = std::min(127u, (unsigned{old} >> 1) + (unsigned{add} >> 1));
  return static_cast<std::uint8_t>(calls << 1 | ((old | add) & 1));
}
std::uint8_t merge_call(std::uint8_t old, std::uint8_t add) { return old | add; }

struct Detected {
  Format format = Format::kAuto;
  Layout layout = Layout::kLines;
};

std::string_view trim(std::string_view t) {
  while (!t.empty() && (t.front() == ' ' || t.front() == '\t' || t.front() == '\r' || t.front() == '\n')) t.remove_prefix(1);
  while (!t.empty() && (t.back() == ' ' || t.back() == '\t' || t.back() == '\r' || t.back() == '\n')) t.remove_suffix(1);
  return t;
}

bool parses(std::string_view text, dom::parser& parser, dom::element& out) {
  return parser.parse(text.data(), text.size()).get(out) == simdjson::SUCCESS;
}

/// Layout and format from the first bytes (and the parser's word on the first documents).
Result<Detected> detect(std::string_view head, bool whole, Format forced, const std::string& path) {
  Detected out;
  out.format = forced;
  const std::string_view start = trim(head);
  const auto unknown = [&](std::string_view what) {
    return fail(ErrorKind::kUsage, fmt::format("{}: {}; name its format with --format (see understudy audit --help)", path, what));
  };
  if (start.empty()) return fail(ErrorKind::kUsage, fmt::format("{} is empty: there are no calls to audit", path));
  dom::parser parser;
  dom::element root;
  if (start.front() == '{' || start.front() == '[') {
    // Lines, if any of the first ones is a whole document; else values.
    std::size_t at = 0;
    bool line_parses = false;
    for (int tried = 0; at < start.size() && tried < 16; ++tried) {
      const std::size_t end = std::min(start.find('\n', at), start.size());
      const std::string_view line = trim(start.substr(at, end - at));
      if (line.size() > 1 && line.front() == '{' && parses(line, parser, root)) {
        line_parses = true;
        if (out.format == Format::kAuto) out.format = detect_format(root);
        if (out.format != Format::kAuto) break;
      }
      at = end + 1;
    }
    if (start.front() == '[') line_parses = false;
    out.layout = line_parses ? Layout::kLines : Layout::kValues;
    if (!line_parses && start.front() == '{' && start.find('\n') != std::string_view::npos) {
      // A first line such as {"a": 1, "b" that is cut: lines with a bad one first, or a document spread over lines?
      const std::string_view first = trim(start.substr(0, start.find('\n')));
      if (first.size() > 40 && first.back() != ',' && first.back() != '{' && first.back() != '[') out.layout = Layout::kLines;
    }
    if (out.format == Format::kAuto) {
      // The head may end inside the first document: close it as best we can by trying a value chunker on the whole head.
      Chunker values(memory_source(std::string(start)), {.chunk_bytes = start.size() + 1});
      values.set_layout(Layout::kValues);
      Chunk chunk;
      if (auto any = values.next(chunk); any && *any) {
        for (const auto& [offset, size] : chunk.documents) {
          if (parses({chunk.buffer.data() + offset, size}, parser, root)) out.format = detect_format(root);
          if (out.format != Format::kAuto) break;
        }
      }
      if (out.format == Format::kAuto) out.format = detect_format_text(start);
    }
    if (out.format == Format::kAuto) return unknown("JSON, but of no format known here");
    return out;
  }
  const std::string_view first = trim(start.substr(0, start.find('\n')));
  const bool binary = head.find('\0') != std::string_view::npos;
  if (!binary && first.find(',') != std::string_view::npos) {
    out.layout = Layout::kCsv;
    if (out.format == Format::kAuto) {
      if (const auto columns = split_csv(first)) {
        std::string json;
        std::string ones;
        for (std::size_t i = 0; i < columns->size(); ++i) ones += i == 0 ? "1" : ",1";
        if (csv_to_json(*columns, ones, json) && parses(json, parser, root)) out.format = detect_format(root);
      }
    }
    if (out.format != Format::kAuto) return out;
    return unknown("text with commas, but its header has none of the known columns (plain CSV needs model, tok_in and tok_out)");
  }
  // Lines of which the first are broken, perhaps.
  if (!binary) {
    for (std::size_t at = 0; at < start.size();) {
      const std::size_t end = std::min(start.find('\n', at), start.size());
      if (const std::string_view line = trim(start.substr(at, end - at)); !line.empty() && line.front() == '{' && parses(line, parser, root)) {
        if (out.format == Format::kAuto) out.format = detect_format(root);
        if (out.format != Format::kAuto) return out;
      }
      at = end + 1;
    }
  }
  (void)whole;
  return unknown(binary ? "binary data, not a trace (gzip and zstd are understood)" : "neither JSON nor CSV");
}

/// Hands out chunks of all files, one at a time.
class Feeder {
 public:
  struct File {
    Format format = Format::kAuto;
    Layout layout = Layout::kLines;
    std::vector<std::string> columns;
  };

  Feeder(std::vector<std::string> paths, const EngineOptions& options, Ledger& ledger, std::unique_ptr<ByteSource> only)
      : paths_(std::move(paths)), options_(options), ledger_(ledger), only_(std::move(only)) {}

  /// False at the end or after an error.
  bool next(Chunk& chunk, File& file) {
    const std::lock_guard lock(mutex_);
    while (!error_) {
      if (chunker_ == nullptr && !open()) return false;
      auto any = chunker_->next(chunk);
      if (!any) {
        error_ = std::move(any.error());
        return false;
      }
      if (!*any) {
        done_bytes_ += chunker_->consumed();
        chunker_ = nullptr;
        continue;
      }
      if (current_.layout == Layout::kCsv && current_.columns.empty()) {
        std::string header = chunker_->csv_header();
        if (auto columns = split_csv(header)) current_.columns = std::move(*columns);
      }
      chunk.sequence = sequence_++;
      chunk.file = static_cast<std::uint32_t>(at_ - 1);
      file = current_;
      return true;
    }
    return false;
  }
  std::optional<Error> error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  std::uint64_t bytes() {
    const std::lock_guard lock(mutex_);
    return done_bytes_ + (chunker_ == nullptr ? 0 : chunker_->consumed());
  }
  void stop(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }

 private:
  bool open() {
    if (at_ == paths_.size()) return false;
    const std::string& path = paths_[at_];
    auto source = only_ != nullptr ? Result<std::unique_ptr<ByteSource>>(std::move(only_)) : open_source(path);
    ++at_;
    if (!source) {
      error_ = std::move(source.error());
      return false;
    }
    chunker_ = std::make_unique<Chunker>(std::move(*source), options_.limits);
    auto head = chunker_->head();
    if (!head) {
      error_ = std::move(head.error());
      return false;
    }
    auto detected = detect(*head, false, options_.format, path);
    if (!detected) {
      error_ = std::move(detected.error());
      return false;
    }
    current_ = {detected->format, detected->layout, {}};
    chunker_->set_layout(detected->layout);
    ++ledger_.input.files;
    ledger_.input.formats.insert(detected->format);
    ledger_.input.layouts.insert(detected->layout);
    return true;
  }

  std::vector<std::string> paths_;
  const EngineOptions& options_;
  Ledger& ledger_;
  std::unique_ptr<ByteSource> only_;
  std::mutex mutex_;
  std::unique_ptr<Chunker> chunker_;
  File current_;
  std::size_t at_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::optional<Error> error_;
};

Result<std::unique_ptr<Ledger>> run(std::vector<std::string> paths, std::unique_ptr<ByteSource> only, const PriceBook& book,
                                    const StepNames& names, const EngineOptions& options) {
  auto ledger = std::make_unique<Ledger>(book, names);
  ledger->total = std::make_unique<Tally>(ledger->requests, options.by_day);
  {
    Commit commit(*ledger, options);
    Feeder feeder(paths, options, *ledger, std::move(only));
    const int threads = options.threads > 0 ? options.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    std::vector<std::unique_ptr<Worker>> workers;
    for (int i = 0; i < threads; ++i) workers.push_back(std::make_unique<Worker>(*ledger, options));
    const auto work = [&](Worker& worker) {
      Chunk chunk;
      Feeder::File file;
      while (feeder.next(chunk, file)) {
        ChunkResult result;
        worker.read(chunk, file.format, file.layout, file.columns, result);
        commit.take(chunk.sequence, std::move(result));
        if (options.progress) options.progress(feeder.bytes(), commit.rows());
      }
    };
    if (threads == 1) {
      work(*workers[0]);
    } else {
      std::vector<std::thread> pool;
      for (auto& worker : workers) pool.emplace_back([&work, &worker] { work(*worker); });
      for (std::thread& t : pool) t.join();
    }
    if (auto error = feeder.error()) return fail(std::move(*error));
    commit.finish(paths);
    for (auto& worker : workers) ledger->total->merge(worker->tally());
  }
  ledger->input.accepted = ledger->total->accepted;
  ledger->total->waterfall.settle();
  if (ledger->input.accepted == 0 && ledger->bill.lines == 0) {
    std::string why = fmt::format("no model calls found in {}", paths.size() == 1 ? paths[0] : fmt::format("{} files", paths.size()));
    if (ledger->input.malformed > 0) {
      why += fmt::format(": {} malformed records", ledger->input.malformed);
      if (!ledger->input.samples.empty()) {
        const MalformedSample& s = ledger->input.samples.front();
        why += fmt::format(" (the first: {} line {}: {})", s.file, s.line, s.why);
      }
    } else if (ledger->input.not_calls > 0) {
      why += fmt::format(": {} records were understood, none is a model call", ledger->input.not_calls);
    }
    return fail(ErrorKind::kUsage, why);
  }
  return ledger;
}

}  // namespace

Ledger::Ledger(const PriceBook& prices, StepNames names)
    : book(prices), step_names(std::move(names)), models(prices), requests(merge_request), calls(merge_call) {}

Result<std::unique_ptr<Ledger>> read_traces(const std::vector<std::string>& inputs, const PriceBook& book, const StepNames& names,
                                            const EngineOptions& options) {
  auto paths = expand_inputs(inputs);
  if (!paths) return fail(std::move(paths.error()));
  if (paths->empty()) return fail(ErrorKind::kUsage, "no trace was named; give files, directories, globs or - for standard input");
  return run(std::move(*paths), nullptr, book, names, options);
}

Result<std::unique_ptr<Ledger>> read_text(std::string text, const PriceBook& book, const StepNames& names, const EngineOptions& options) {
  return run({"(text)"}, memory_source(std::move(text)), book, names, options);
}

Result<std::unique_ptr<Ledger>> read_source(RecordSource& source, const PriceBook& book, const StepNames& names,
                                            const EngineOptions& options) {
  auto ledger = std::make_unique<Ledger>(book, names);
  ledger->total = std::make_unique<Tally>(ledger->requests, options.by_day);
  {
    Commit commit(*ledger, options);
    Worker worker(*ledger, options);
    ChunkResult result;
    worker.begin(result);
    auto read = source.read(worker);
    if (!read) return fail(std::move(read.error()));
    commit.take(0, std::move(result));
    commit.finish({std::string(source.name())});
    ledger->total->merge(worker.tally());
  }
  ledger->input.files = 1;
  ledger->input.accepted = ledger->total->accepted;
  ledger->total->waterfall.settle();
  if (ledger->input.accepted == 0) return fail(ErrorKind::kUsage, fmt::format("{} holds no model calls yet", source.name()));
  return ledger;
}

Result<bool> read_bill(const std::string& path, const EngineOptions& options, Ledger& into) {
  EngineOptions bill_options = options;
  bill_options.format = Format::kAuto;
  bill_options.by_day = true;
  bill_options.cost = CostChoice::kLogged;
  auto bill = read_traces({path}, into.book, into.step_names, bill_options);
  if (!bill) return fail(std::move(bill.error()));
  into.bill = (*bill)->bill;
  if (into.bill.lines == 0) {  // usage pages: priced by the book
    for (const auto& [key, cell] : (*bill)->total->cells()) {
      into.bill.by_model_day[{(*bill)->models.info(key.model).name, key.period}] += cell.cost;
      into.bill.total += cell.cost;
      into.bill.lines += cell.calls;
    }
  }
  return true;
}

}  // namespace understudy::audit
