#include "labelling/ask_teacher.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <unordered_set>
#include <utility>

#include "base/random.h"
#include "chat/answer.h"
#include "labelling/internal/upstream_reply.h"
#include "net/timer.h"
#include "providers/factory.h"

namespace understudy::labelling {
namespace {

using internal::UpstreamReply;

constexpr std::size_t kMostExamples = 5;

struct Batch {
  std::vector<std::size_t> places;
  bool again = false;  // rows that have been asked about already
};

class Asker {
 public:
  Asker(const Question& question, std::span<const Row> rows, const providers::ModelConfig& teacher, const PriceOf& price, LabelFile& file, const AskOptions& options, net::Reactor& reactor,
        providers::Provider& provider)
      : question_(question), rows_(rows), teacher_(teacher), price_(price), file_(file), options_(options), reactor_(reactor), provider_(provider), changed_(reactor),
        random_(options.seed == 0 ? entropy64() : options.seed), start_(reactor.clock().mono()) {}

  void queue(std::vector<std::size_t> places) {
    report_.left += places.size();
    wanted_ += places.size();
    queue_.push_back({std::move(places), false});
  }

  net::Awaitable<void> run() {
    const std::stop_callback interrupt(options_.stop, [this] {
      reactor_.post([this] {
        pauses_.cancel();
        if (options_.leave_calls) calls_.cancel();
      });
    });
    net::TaskGroup workers(reactor_);
    for (std::size_t i = 0; i < std::max<std::size_t>(options_.calls_at_once, 1); ++i) workers.spawn(work());
    co_await workers.wait();
    co_await net::yield(reactor_);  // what `interrupt` has posted
  }

  Result<AskReport> finish() {
    if (error_) return fail(std::move(*error_));
    if (out_of_money_) report_.end = AskEnd::kBudget;
    else if (report_.left > 0) report_.end = AskEnd::kStopped;
    return std::move(report_);
  }

 private:
  bool over() const { return error_ || out_of_money_ || options_.stop.stop_requested(); }

  net::Awaitable<void> work() {
    while (!over()) {
      if (queue_.empty()) {
        if (busy_ == 0) break;
        co_await some_change();  // who works may leave more to do
        continue;
      }
      Batch batch = std::move(queue_.front());
      queue_.pop_front();
      ++busy_;
      co_await ask(std::move(batch));
      --busy_;
      changed_.set();
      tell();
    }
    changed_.set();
  }

  net::Awaitable<void> some_change() {
    changed_.reset();
    const net::Deadline a_second = net::Deadline::after_ms(reactor_.clock().mono(), 1'000);
    co_await changed_.wait(a_second);
  }

  /// One call, its further tries included.
  net::Awaitable<void> ask(Batch batch) {
    std::vector<const Row*> rows;
    for (const std::size_t i : batch.places) rows.push_back(&rows_[i]);
    for (int tries = 0; !over();) {
      const Dialect dialect = dialect_;
      const std::string body = question_body(question_, rows, teacher_.upstream_model, dialect);
      const auto most = price_(most_usage(body, most_output_tokens(question_, rows.size(), dialect)));
      if (options_.budget && !most) {
        error_ = Error(ErrorKind::kUsage, "a budget can only be held where the price of a call is known");
        co_return;
      }
      if (options_.budget && file_.stored().spent.value + set_aside_.value + most->value > options_.budget->value) {
        if (calls_under_way_ > 0) {
          co_await some_change();  // they may cost less than what is set aside for them
        } else if (batch.places.size() > 1) {
          split(batch, (batch.places.size() + 1) / 2);
          co_return;
        } else {
          out_of_money_ = true;
        }
        continue;
      }
      auto hold = reserve(most);
      if (!hold) co_return;
      const auto call = file_.begin(rows.size(), most);
      if (!call) {
        error_ = call.error();
        settle(*hold, Picousd{});
        co_return;
      }
      set_aside_ = set_aside_ + most.value_or(Picousd{});
      ++calls_under_way_;
      ++report_.calls;
      const UpstreamReply reply = co_await internal::send(provider_, reactor_, body, fmt::format("label-{}", *call), options_.call_timeout_ms, calls_.token());
      --calls_under_way_;
      set_aside_ = set_aside_ - most.value_or(Picousd{});
      changed_.set();
      if (calls_.token().cancelled() && !reply.answered()) co_return;  // given up: it may have been paid for
      if (reply.answered()) {
        settle(*hold, take(batch, *call, reply, body));
        co_return;
      }
      const bool reworded = dialect != dialect_ || internal::adapt(dialect_, reply);
      const bool of_these_rows = !reworded && !reply.hopeless() && !reply.worth_another_try();
      if (!reply.maybe_paid()) settle(*hold, Picousd{});
      if (!settle_refusal(batch, *call, reply, most, of_these_rows) || of_these_rows) co_return;
      if (reworded) continue;
      if (reply.hopeless()) {
        error_ = reply.as_error(teacher_.upstream_model);
        co_return;
      }
      if (++tries >= options_.most_tries) {
        count_failure(reply.as_error(teacher_.upstream_model));
        co_return;  // its rows stay to be asked about
      }
      ++report_.tries_again;
      const std::int64_t pause = pause_ms(tries, reply.retry_after_ms);
      co_await net::sleep_for(reactor_, pause, pauses_.token());
    }
  }

  /// False: the work is over. An empty hold where nobody else pays.
  Result<BudgetHold> reserve(std::optional<Picousd> most) {
    if (options_.payer == nullptr) return BudgetHold();
    auto hold = options_.payer->reserve(most);
    if (!hold && hold.error().kind == ErrorKind::kBudgetExceeded) out_of_money_ = true;
    if (!hold && hold.error().kind != ErrorKind::kBudgetExceeded) error_ = hold.error();
    return hold;
  }

  void settle(const BudgetHold& hold, std::optional<Picousd> cost) {
    if (options_.payer != nullptr && cost) options_.payer->settle(hold, *cost);
  }

  std::int64_t pause_ms(int tries, std::optional<std::int64_t> asked) {
    const std::int64_t usual = std::min(options_.first_pause_ms << std::min(tries - 1, 20), options_.longest_pause_ms);
    const auto jittered = static_cast<std::int64_t>(static_cast<double>(usual) * (0.5 + random_.uniform() / 2));
    return std::min(std::max(jittered, asked.value_or(0)), options_.longest_pause_ms);
  }

  void split(const Batch& batch, std::size_t size) {
    for (std::size_t at = batch.places.size(); at > 0;) {
      const std::size_t from = at > size ? at - size : 0;
      queue_.push_front({{batch.places.begin() + static_cast<std::ptrdiff_t>(from), batch.places.begin() + static_cast<std::ptrdiff_t>(at)}, batch.again});
      at = from;
    }
  }

  /// @param of_these_rows  what they say is refused: each is asked about by itself, and one alone has no verdict. False: the file cannot be written
  bool settle_refusal(const Batch& batch, std::uint64_t call, const UpstreamReply& reply, std::optional<Picousd> most, bool of_these_rows) {
    const Error why = reply.as_error(teacher_.upstream_model);
    const bool give_up_row = of_these_rows && batch.places.size() == 1;
    std::vector<std::pair<std::string, StoredLabel>> labels;
    if (give_up_row) labels.emplace_back(key(batch.places[0]), StoredLabel{std::nullopt, why.message, teacher_.upstream_model});
    if (auto settled = file_.end(call, labels, {}, reply.maybe_paid() ? most : Picousd{}); !settled) {
      error_ = settled.error();
      return false;
    }
    if (!of_these_rows) return true;
    if (give_up_row) give_up(batch.places[0], why.message);
    else split(batch, 1);
    count_failure(why);
    return true;
  }

  /// What the call cost; nullopt: not known.
  std::optional<Picousd> take(const Batch& batch, std::uint64_t call, const UpstreamReply& reply, const std::string& body) {
    Usage usage = reply.usage.value_or(Usage{});
    if (!reply.usage) {
      usage.input = chat::estimate_tokens(body);
      usage.output = chat::estimate_tokens(reply.text);
      usage.estimated = true;
    }
    auto parsed = parse_reply(question_, batch.places.size(), reply.text);
    std::string why = parsed ? parsed->why : parsed.error().message;
    if (reply.cut_short) why += " (it was cut at its token limit)";
    std::vector<std::pair<std::string, StoredLabel>> labels;
    std::vector<std::size_t> missing;
    const bool last = batch.again && batch.places.size() == 1;
    std::size_t given = 0;
    for (std::size_t i = 0; i < batch.places.size(); ++i) {
      const std::size_t place = batch.places[i];
      if (parsed && parsed->verdicts[i]) {
        labels.emplace_back(key(place), StoredLabel{parsed->verdicts[i], "", teacher_.upstream_model});
        ++given;
      } else if (last) {
        labels.emplace_back(key(place), StoredLabel{std::nullopt, why, teacher_.upstream_model});
      } else {
        missing.push_back(place);
      }
    }
    const std::optional<Picousd> cost = price_(usage);
    if (auto kept = file_.end(call, labels, usage, cost); !kept) {
      error_ = kept.error();
      return cost;
    }
    if (given == 0) {
      count_failure(Error(ErrorKind::kUpstreamProtocol, fmt::format("{}'s replies cannot be used: {}", teacher_.upstream_model, why)));
    } else {
      failures_ = 0;
    }
    report_.labelled += given;
    report_.left -= given;
    if (last && given == 0) give_up(batch.places[0], why);
    for (const std::size_t place : missing) queue_.push_back({{place}, true});
    return cost;
  }

  void give_up(std::size_t place, const std::string& why) {
    ++report_.failed;
    --report_.left;
    if (report_.examples.size() < kMostExamples) report_.examples.push_back({rows_[place].id, why});
  }

  void count_failure(Error error) {
    if (++failures_ < options_.most_failures || error_) return;
    error.message = fmt::format("given up after {} calls in a row without a usable reply: {}", failures_, error.message);
    error_ = std::move(error);
  }

  std::string key(std::size_t place) const { return key_of(question_, teacher_.upstream_model, rows_[place]); }

  void tell() {
    if (!options_.progress) return;
    AskProgress progress;
    progress.rows = wanted_;
    progress.done = report_.labelled + report_.failed;
    progress.spent = file_.stored().spent;
    progress.budget = options_.budget;
    const double seconds = static_cast<double>(reactor_.clock().mono().ns - start_.ns) * 1e-9;
    if (progress.done > 0) progress.seconds_left = seconds / static_cast<double>(progress.done) * static_cast<double>(progress.rows - progress.done);
    options_.progress(progress);
  }

  const Question& question_;
  const std::span<const Row> rows_;
  const providers::ModelConfig& teacher_;
  const PriceOf& price_;
  LabelFile& file_;
  const AskOptions& options_;
  net::Reactor& reactor_;
  providers::Provider& provider_;
  net::Event changed_;
  net::CancelSource pauses_, calls_;
  SeededRandom random_;
  const MonoTime start_;
  std::deque<Batch> queue_;
  Dialect dialect_;
  std::size_t busy_ = 0, calls_under_way_ = 0, failures_ = 0, wanted_ = 0;
  Picousd set_aside_;
  bool out_of_money_ = false;
  std::optional<Error> error_;
  AskReport report_;
};

}  // namespace

std::vector<std::vector<std::size_t>> calls_to_make(const Question& question, std::span<const Row> rows, std::span<const std::size_t> places, std::string_view model, const LabelFile& file,
                                                    const AskOptions& options) {
  std::vector<std::size_t> open;
  std::unordered_set<std::string> seen;
  for (const std::size_t i : places) {
    std::string key = key_of(question, model, rows[i]);
    const StoredLabel* stored = file.find(key);
    if ((stored == nullptr || (!stored->verdict && options.ask_again)) && seen.insert(std::move(key)).second) open.push_back(i);
  }
  return make_batches(question.task, rows, open, options.rows_a_call);
}

Result<AskReport> ask_teacher(const Question& question, std::span<const Row> rows, std::span<const std::size_t> places, const providers::ModelConfig& teacher, const PriceOf& price,
                              LabelFile& file, const AskOptions& options) {
  net::ReactorOptions reactor_options;
  if (options.clock != nullptr) reactor_options.clock = options.clock;
  auto reactor = net::Reactor::create(reactor_options);
  if (!reactor) return fail(std::move(reactor.error()));
  net::ClientPool pool(**reactor);
  auto provider = options.make_provider ? options.make_provider(pool, teacher) : providers::make_provider(pool, teacher);
  if (!provider) return fail(std::move(provider.error()));
  Asker asker(question, rows, teacher, price, file, options, **reactor, **provider);
  std::size_t stored = 0, failed = 0;
  for (const std::size_t i : places) {
    const StoredLabel* label = file.find(key_of(question, teacher.upstream_model, rows[i]));
    if (label == nullptr) continue;
    if (label->verdict) ++stored;
    else if (!options.ask_again) ++failed;
  }
  for (auto& batch : calls_to_make(question, rows, places, teacher.upstream_model, file, options)) asker.queue(std::move(batch));
  net::block_on(**reactor, asker.run());
  auto report = asker.finish();
  if (report) report->stored += stored, report->failed += failed;
  return report;
}

}  // namespace understudy::labelling
