// Text that many records have in common (the name of a queue, of a worker), held once: eight bytes a use, and equal
// texts have one address. What nobody uses any more is freed.
//
// May be made, copied and dropped on any thread: records are decoded on those of the blocking pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace gantry {

class SharedText {
 public:
  SharedText() = default;
  SharedText(std::string_view text) : entry_(text.empty() ? nullptr : acquire(text)) {}
  SharedText(const std::string& text) : SharedText(std::string_view(text)) {}
  SharedText(const char* text) : SharedText(std::string_view(text)) {}
  SharedText(const SharedText& other) : entry_(other.entry_) {
    if (entry_) entry_->uses.fetch_add(1, std::memory_order_relaxed);
  }
  SharedText(SharedText&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  SharedText& operator=(SharedText other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~SharedText() {
    if (entry_) release(entry_);
  }

  const std::string& str() const { return entry_ ? entry_->text : nothing(); }
  operator const std::string&() const { return str(); }
  bool empty() const { return !entry_; }
  void clear() { *this = SharedText(); }

  friend bool operator==(const SharedText& a, const SharedText& b) { return a.entry_ == b.entry_; }
  friend bool operator==(const SharedText& a, std::string_view b) { return a.str() == b; }
  friend bool operator==(const SharedText& a, const std::string& b) { return a.str() == b; }
  friend bool operator==(const SharedText& a, const char* b) { return a.str() == b; }
  friend std::string operator+(std::string_view a, const SharedText& b) { return std::string(a) + b.str(); }
  friend std::string operator+(const SharedText& a, std::string_view b) { return a.str() + std::string(b); }
  friend std::ostream& operator<<(std::ostream& out, const SharedText& text) { return out << text.str(); }

 private:
  struct Entry {
    std::string text;
    std::atomic<std::uint32_t> uses;
  };
  friend struct SharedTextPool;

  static const std::string& nothing();
  static Entry* acquire(std::string_view text);
  static void release(Entry* entry);

  Entry* entry_ = nullptr;
};

/// How many different texts are held now.
std::size_t shared_texts();

}  // namespace gantry

template <>
struct fmt::formatter<gantry::SharedText> : fmt::formatter<std::string_view> {
  auto format(const gantry::SharedText& text, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(text.str(), context);
  }
};
