#include "audit/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <thread>

#include "audit/commit.h"
#include "audit/csv.h"
#include "audit/detect.h"
#include "audit/worker.h"

namespace understudy::audit {
namespace {

std::uint8_t merge_request(std::uint8_t old, std::uint8_t add) {
  const unsigned calls = std::min(127u, (unsigned{old} >> 1) + (unsigned{add} >> 1));
  return static_cast<std::uint8_t>(calls << 1 | ((old | add) & 1));
}
std::uint8_t merge_call(std::uint8_t old, std::uint8_t add) { return old | add; }

/// Of all files together; 0 where one is a pipe.
std::uint64_t size_of(const std::vector<std::string>& paths) {
  std::uint64_t total = 0;
  for (const std::string& path : paths) {
    std::error_code ec;
    if (!std::filesystem::is_regular_file(path, ec)) return 0;
    total += std::filesystem::file_size(path, ec);
  }
  return total;
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
    auto detected = detect(*head, options_.format, path);
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
    const std::uint64_t total_bytes = size_of(paths);
    const auto work = [&](Worker& worker) {
      Chunk chunk;
      Feeder::File file;
      while (feeder.next(chunk, file)) {
        ChunkResult result;
        worker.read(chunk, file.format, file.layout, file.columns, result);
        commit.take(chunk.sequence, std::move(result));
        if (options.progress) options.progress(feeder.bytes(), total_bytes);
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
      if (options.format != Format::kAuto) why += fmt::format("; is it {}, as --format says?", format_info(options.format).name);
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
