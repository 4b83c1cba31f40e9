// Any bytes in any pieces: no crash, no endless loop, the same entries however the input is cut, and never more content
// than input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/error.h"
#include "engine/tar_reader.h"

namespace {

class PiecesBody : public gantry::net::BodyReader {
 public:
  PiecesBody(std::string bytes, std::size_t piece_bytes) : bytes_(std::move(bytes)), piece_bytes_(piece_bytes) {}
  gantry::Async<std::string> read_some() override {
    std::string piece = bytes_.substr(std::min(at_, bytes_.size()), piece_bytes_);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string bytes_;
  std::size_t piece_bytes_;
  std::size_t at_ = 0;
};

/// What was read, as text; nothing if it was refused.
gantry::Async<> read_archive(std::string input, std::size_t piece_bytes, std::optional<std::string>& result) {
  gantry::engine::TarReader reader(std::make_shared<PiecesBody>(input, piece_bytes));
  std::string text;
  std::size_t content_bytes = 0;
  try {
    while (auto entry = co_await reader.next()) {
      GANTRY_ASSERT(!entry->name.empty() && entry->name.size() <= 4096 && entry->bytes >= 0);
      text += entry->name + "|" + entry->link_target + "|" + std::to_string(entry->bytes) + "|" +
              std::to_string(entry->mode) + std::to_string(static_cast<int>(entry->type));
      while (true) {
        std::string piece = co_await reader.read_some();
        if (piece.empty()) break;
        content_bytes += piece.size();
        text += piece;
      }
    }
    GANTRY_ASSERT(content_bytes <= input.size());
    result = text;
  } catch (const gantry::Error&) {
    result.reset();
  }
}

std::optional<std::string> run(const std::string& input, std::size_t piece_bytes) {
  boost::asio::io_context io;
  std::optional<std::string> result;
  boost::asio::co_spawn(io.get_executor(), read_archive(input, piece_bytes, result),
                        [](std::exception_ptr exception) { GANTRY_ASSERT(!exception); });
  io.run();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::size_t piece_bytes = 1 + data[0] * 7u;
  std::string input(reinterpret_cast<const char*>(data + 1), size - 1);
  GANTRY_ASSERT(run(input, 65536) == run(input, piece_bytes));
  return 0;
}
