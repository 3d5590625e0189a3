#pragma once
/// A growing byte buffer that never clears memory it is about to overwrite and gives its memory back when cleared: idle
/// connections and waiting streams hold nothing. Internal to this module.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace understudy::net::internal {

class Bytes {
 public:
  std::string_view view() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Appends and grows by doubling; `total` is a hint of the size it will have in the end.
  void append(std::string_view bytes, std::size_t total = 0) {
    if (bytes.empty()) return;
    reserve(size_ + bytes.size(), total);
    std::memcpy(data_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  /// Room for at least `least` more bytes, to be filled and then counted by `grew`.
  std::span<char> room(std::size_t least, std::size_t total = 0) {
    reserve(size_ + least, total);
    return {data_.get() + size_, capacity_ - size_};
  }
  void grew(std::size_t bytes) { size_ += bytes; }
  void drop_front(std::size_t bytes) {
    size_ -= bytes;
    if (size_ == 0) return clear();
    std::memmove(data_.get(), data_.get() + bytes, size_);
  }
  void clear() {
    data_.reset();
    size_ = capacity_ = 0;
  }

 private:
  void reserve(std::size_t needed, std::size_t total) {
    if (needed <= capacity_) return;
    // A peer may announce far more than it sends: the hint is believed up to 64 KiB beyond what is needed now.
    std::size_t capacity = needed;
    if (total > needed) capacity = std::min(total, needed + 64 * 1024);
    if (capacity_ > 0) capacity = std::max(capacity, 2 * capacity_);
    auto grown = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(grown.get(), data_.get(), size_);
    data_ = std::move(grown);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace understudy::net::internal
