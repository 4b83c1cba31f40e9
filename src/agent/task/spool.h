// A run's log on the agent's disk until the server has all of it (design 3.11). A file of frames {stream u8, length u32
// little-endian, bytes}: stream 0 is what the agent itself says, 1 and 2 are the container's output, so that after a
// restart it is known how much of each was taken. Its logical content is the frames' bytes in order.
//
// Blocking; one thread at a time. A file is open once at a time, in any process: a second Spool of the same path is
// refused until the first is gone. A frame that was cut off by a crash is dropped when the file is opened.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace gantry::agent {

class Spool {
 public:
  static constexpr int streams = 3;

  struct Sizes {
    std::int64_t bytes = 0;                         // of the logical content
    std::array<std::int64_t, streams> of_stream{};  // of each stream in it
  };

  /// Opens or creates. Throws Error(unavailable), also if it is open already.
  explicit Spool(std::string path);

  /// `bytes` must not be longer than frame_bytes_max. Throws Error(unavailable), for a full disk among others, and from
  /// then on always: nothing may follow a gap.
  void append(int stream, std::string_view bytes);
  /// Logical bytes from `offset`, at most `bytes_max`; empty at the end. Cheap if offsets ascend.
  std::string read(std::int64_t offset, std::size_t bytes_max);

  const Sizes& sizes() const { return sizes_; }
  /// Unlinks the file; from any thread.
  void remove() const;

  static constexpr std::size_t frame_bytes_max = 4u << 20;

 private:
  struct Descriptor {
    int number = -1;
    Descriptor() = default;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();
  };
  struct Position {
    std::int64_t file = 0;     // of a frame's header
    std::int64_t logical = 0;  // of the frame's first byte
  };
  void recover();
  bool read_header(std::int64_t at, int& stream, std::uint32_t& length) const;

  void count(int stream, std::uint32_t length);

  std::string path_;
  Descriptor file_;
  std::int64_t file_bytes_ = 0;
  Sizes sizes_;
  std::optional<Error> failed_;
  Position reading_;
};

}  // namespace gantry::agent
