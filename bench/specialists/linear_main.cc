// Trains the linear text model on some rows of standard input and scores it once on others; prints one JSON object.
//
//     zstd -dcq banking77.jsonl.zst | understudy_linear --train train --test test [--shot shot10] [--seed 1] [--neighbours]
//
// Rows: {"text", "label", "split", ...}. --shot KEY: training rows on which KEY is true. Penalty and calibration come from five-fold
// cross-validation inside the training rows (--quick: one fold and the default penalty, as when learning online). Rows marked
// `oos` are left out.
#include <fmt/format.h>
#include <simdjson.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <unordered_map>
#include <vector>

#include "calibration/metrics.h"
#include "specialists/linear_model.h"
#include "specialists/text_model.h"

namespace {

using namespace understudy;
using retrieval::Terms;

struct Flags {
  std::string train = "train", test = "test", shot;
  std::uint64_t seed = 1;
  bool neighbours = false, quick = false;
};

[[noreturn]] void quit(const std::string& message) {
  fmt::print(stderr, "understudy_linear: {}\n", message);
  std::exit(2);
}

Flags parse_flags(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> std::string {
      if (++i == argc) quit(flag + " needs a value");
      return argv[i];
    };
    if (flag == "--train") flags.train = value();
    else if (flag == "--test") flags.test = value();
    else if (flag == "--shot") flags.shot = value();
    else if (flag == "--seed") flags.seed = std::strtoull(value().c_str(), nullptr, 10);
    else if (flag == "--neighbours") flags.neighbours = true;
    else if (flag == "--quick") flags.quick = true;
    else quit("unknown flag " + flag);
  }
  return flags;
}

struct Data {
  std::vector<std::string> train_texts, train_labels, test_texts, test_labels;
};

std::string text_of(simdjson::dom::element value) {
  if (value.is_string()) return std::string(value.get_string().value());
  return simdjson::minify(value);
}

Data read_rows(const Flags& flags) {
  const std::string all{std::istreambuf_iterator<char>(std::cin), {}};
  Data data;
  simdjson::dom::parser parser;
  std::size_t number = 0;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    const std::string line = all.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    simdjson::dom::element row;
    std::string_view text, split;
    simdjson::dom::element label;
    if (parser.parse(line).get(row) || row["text"].get(text) || row["split"].get(split) || row["label"].get(label)) {
      quit(fmt::format("line {}: not an object with text, label and split", number));
    }
    bool flag = false;
    if (!row["oos"].get(flag) && flag) continue;
    if (split == flags.test) data.test_texts.emplace_back(text), data.test_labels.push_back(text_of(label));
    if (split != flags.train) continue;
    if (!flags.shot.empty() && (row[flags.shot].get(flag) || !flag)) continue;
    data.train_texts.emplace_back(text), data.train_labels.push_back(text_of(label));
  }
  if (data.train_texts.empty() || data.test_texts.empty()) quit("no rows to train on, or none to test on: look at --train, --test, --shot");
  return data;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  const Flags flags = parse_flags(argc, argv);
  const Data data = read_rows(flags);

  const auto start = std::chrono::steady_clock::now();
  retrieval::TermExtractor extractor;
  specialists::TermFrequencies frequencies;
  specialists::LabelledRows rows;
  std::unordered_map<std::string, std::uint32_t> index;
  std::vector<Terms> terms(data.train_texts.size());
  for (std::size_t i = 0; i < terms.size(); ++i) {
    extractor.extract(data.train_texts[i], terms[i]);
    frequencies.count(terms[i]);
    rows.terms.push_back(&terms[i]);
    const auto [at, fresh] = index.try_emplace(data.train_labels[i], static_cast<std::uint32_t>(index.size()));
    if (fresh) rows.names.push_back(data.train_labels[i]);
    rows.labels.push_back(at->second);
  }
  specialists::FitOptions options;
  options.seed = flags.seed;
  options.neighbours = flags.neighbours;
  if (!flags.quick) {
    options.epochs = 12;
    options.penalties = {0.03f, 0.1f, 0.3f};
    options.folds_used = options.folds;
  }
  const auto model = specialists::TextModel::fit(rows, frequencies, options);
  const double fit_seconds = seconds_since(start);

  std::vector<double> probability;
  std::vector<std::uint8_t> right;
  std::size_t rights = 0;
  const auto guessing = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < data.test_texts.size(); ++i) {
    const auto guess = model->guess(data.test_texts[i]);
    probability.push_back(std::min(1.0, double(guess.probability)));
    right.push_back(guess.label == data.test_labels[i]);
    rights += right.back();
  }
  const double guess_us = seconds_since(guessing) * 1e6 / static_cast<double>(right.size());
  const auto interval = calibration::clopper_pearson(rights, right.size());
  fmt::print("{{\"train_rows\": {}, \"test_rows\": {}, \"labels\": {}, \"seed\": {}, \"accuracy\": {:.4f}, \"accuracy_low\": {:.4f}, \"accuracy_high\": {:.4f}, "
             "\"ece15\": {:.4f}, \"brier\": {:.4f}, \"cv_accuracy\": {:.4f}, \"cv_log_loss\": {:.4f}, \"penalty\": {:.3f}, \"sharpness\": {:.3f}, "
             "\"fit_s\": {:.2f}, \"guess_us\": {:.1f}, \"bytes\": {}}}\n",
             terms.size(), right.size(), rows.names.size(), flags.seed, double(rights) / double(right.size()), interval.low, interval.high,
             calibration::ece(probability, right), calibration::brier(probability, right), model->report().accuracy, model->report().log_loss,
             model->report().penalty, model->linear().sharpness(), fit_seconds, guess_us, model->linear().bytes());
  return 0;
}
