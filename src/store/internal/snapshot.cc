#include "store/internal/files.h"
#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {

Result<std::unique_ptr<Snapshot>> Snapshot::take(Database& main, const std::filesystem::path& data) {
  // A running writer moves segments to SQLite and reuses them while we read: then look again. It does so every 200 ms, our
  // reading takes milliseconds; if it still never fits, what could be read is shown.
  constexpr int kTries = 8;
  for (int i = 1;; ++i) {
    std::unique_ptr<Snapshot> snapshot(new Snapshot(main));
    STORE_TRY(snapshot->read(data));
    if (!snapshot->report_.moved || i == kTries) return snapshot;
  }
}

Result<std::unique_ptr<Snapshot>> Snapshot::take_without_tail(Database& main) {
  std::unique_ptr<Snapshot> snapshot(new Snapshot(main));
  STORE_TRY(main.exec("BEGIN"));
  snapshot->in_transaction_ = true;
  return snapshot;
}

Result<void> Snapshot::read(const std::filesystem::path& data) {
  STORE_TRY(main_.exec("BEGIN"));
  in_transaction_ = true;
  STORE_TRY_ASSIGN(const auto progress, read_progress(main_));
  STORE_TRY_ASSIGN(report_, read_tail(journal_directory(data), progress, [this](const Batch& batch) -> Result<void> {
                     if (!tail_) {
                       STORE_TRY_ASSIGN(tail_, Database::open({}, Database::Mode::kMemory));
                       STORE_TRY(migrate(*tail_));
                       STORE_TRY_ASSIGN(importer_, Importer::create(*tail_, &main_));
                     }
                     return importer_->import(batch);
                   }));
  return {};
}

std::vector<Database*> Snapshot::databases() {
  std::vector<Database*> all{&main_};
  if (tail_) all.push_back(&*tail_);
  return all;
}

const Importer::Overlay& Snapshot::overlay() const {
  static const Importer::Overlay kNone;
  return importer_ == nullptr ? kNone : importer_->overlay();
}

void Snapshot::release() {
  if (std::exchange(in_transaction_, false)) (void)main_.exec("COMMIT");
}

}  // namespace understudy::store
