// A run's log on the agent's disk until the server has all of it (design 3.11). A file of frames {stream u8, length u32
// little-endian, bytes}: stream 0 is what the agent itself says, 1 and 2 are the container's output, so that after a
// restart it is known how much of each was taken. Its logical content is the frames' bytes in order.
//
// Blocking; one thread at a time. A frame that was cut off by a crash is dropped when the file is opened.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace gantry::agent {

class Spool {
 public:
  static constexpr int streams = 3;

  /// Opens or creates. Throws Error(unavailable).
  explicit Spool(std::string path);
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();

  /// `bytes` must not be longer than frame_bytes_max. Throws Error(unavailable), for a full disk among others.
  void append(int stream, std::string_view bytes);
  /// Logical bytes from `offset`, at most `bytes_max`; empty at the end. Cheap if offsets ascend.
  std::string read(std::int64_t offset, std::size_t bytes_max);

  std::int64_t bytes() const { return bytes_; }
  /// How much of one stream is in it.
  std::int64_t stream_bytes(int stream) const { return stream_bytes_[static_cast<std::size_t>(stream)]; }
  void remove();

  static constexpr std::size_t frame_bytes_max = 4u << 20;

 private:
  struct Position {
    std::int64_t file = 0;     // of a frame's header
    std::int64_t logical = 0;  // of the frame's first byte
  };
  void recover();
  bool read_header(std::int64_t at, int& stream, std::uint32_t& length) const;

  std::string path_;
  int file_ = -1;
  std::int64_t file_bytes_ = 0;
  std::int64_t bytes_ = 0;
  std::array<std::int64_t, streams> stream_bytes_{};
  Position reading_;
};

}  // namespace gantry::agent
