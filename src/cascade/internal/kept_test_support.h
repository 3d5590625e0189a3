#pragma once
/// For tests of an engine whose promises are kept: a store in a folder of its own, and the service on it.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "cascade/internal/test_support.h"
#include "cascade/promise.h"
#include "store/store.h"

namespace understudy::cascade {

class KeptPromises {
 public:
  explicit KeptPromises(const std::string& name) : folder(std::filesystem::temp_directory_path() / ("understudy-" + name + "-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder);
  }
  ~KeptPromises() {
    close();
    std::filesystem::remove_all(folder);
  }

  /// @param deps  of the engine, as they are without
  EngineDeps open(EngineDeps deps, std::shared_ptr<const Policy> policy) {
    store::StoreOptions options;
    options.reactors = 2;
    auto opened = store::Store::open(folder, options);
    EXPECT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    PromiseServiceOptions service;
    service.journal = &store->journal(1);
    service.data = folder;
    service.tick_ms = 20;
    promises = std::make_unique<PromiseService>(service);
    promises->configure(std::move(policy));
    deps.journal = &store->journal(0);
    deps.promises = promises.get();
    return deps;
  }
  /// The engine must have been shut down, and have no runtime.
  void close() {
    promises.reset();
    store.reset();
  }
  /// Labels that are on their way, taken in.
  void settle(Engine& engine, net::Reactor& reactor) {
    while (engine.labels_running() > 0) net::block_on(reactor, wait_a_little(reactor));
    promises->settle();
  }
  TaskReport report(std::string_view key) const {
    for (TaskReport& one : promises->reports()) {
      if (one.key == key) return std::move(one);
    }
    return {};
  }

  const std::filesystem::path folder;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<PromiseService> promises;

 private:
  static net::Awaitable<void> wait_a_little(net::Reactor& reactor) { co_await net::sleep_for(reactor, 1); }
};

}  // namespace understudy::cascade
