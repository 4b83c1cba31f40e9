// For tests: the two ends of an upgraded connection, in memory, on whatever clock.
#pragma once

#include "net/transport.h"

namespace gantry::net {

class MemoryStream : public RawStream {
 public:
  static std::pair<std::shared_ptr<MemoryStream>, std::shared_ptr<MemoryStream>> make_pair() {
    auto a = std::make_shared<Way>();
    auto b = std::make_shared<Way>();
    return {std::make_shared<MemoryStream>(a, b), std::make_shared<MemoryStream>(b, a)};
  }

  /// Bytes one way. `bytes_max` of them wait to be read; whoever writes more waits, too.
  struct Way {
    static constexpr std::size_t bytes_max = 64 * 1024;
    std::string bytes;
    bool over = false;
    Event news;
  };
  MemoryStream(std::shared_ptr<Way> in, std::shared_ptr<Way> out) : in_(std::move(in)), out_(std::move(out)) {}

  Async<std::string> read_some() override { return read(in_); }
  Async<> write(std::string bytes) override { return write(out_, std::move(bytes)); }
  void end_input() override { end(*out_); }
  void close() override {
    end(*in_);
    end(*out_);
  }

 private:
  static void end(Way& way) {
    way.over = true;
    way.news.notify_all();
  }
  static Async<std::string> read(std::shared_ptr<Way> way) {
    while (way->bytes.empty() && !way->over) co_await way->news.wait();
    std::string bytes = std::exchange(way->bytes, {});
    way->news.notify_all();
    co_return bytes;
  }
  static Async<> write(std::shared_ptr<Way> way, std::string bytes) {
    while (way->bytes.size() >= Way::bytes_max && !way->over) co_await way->news.wait();
    if (way->over) throw Error(ErrorCode::unavailable, "the stream is closed");
    way->bytes += bytes;
    way->news.notify_all();
  }

  std::shared_ptr<Way> in_;
  std::shared_ptr<Way> out_;
};

}  // namespace gantry::net
