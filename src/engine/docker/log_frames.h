// Docker's multiplexed output: frames of an 8-byte header {stream, 0, 0, 0, length as big-endian u32} and the payload.
// Facts: moby pkg/stdcopy; a container without a terminal is always sent this way, by attach and by logs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace gantry::engine::docker {

/// Takes the stream in pieces of any size and gives back the payload of stdout and stderr in order, neighbours of one
/// stream joined. Holds no payload: a frame may be 4 GB long and passes through as it comes.
class LogFrameDecoder {
 public:
  /// The payload inside `bytes`; may be empty. Throws Error(corrupt) for what is not such a stream, and
  /// Error(unavailable) with the engine's words if it sent an error in place of output (stream 3).
  std::vector<Output> decode(std::string_view bytes);

  /// To call at the end of the stream; throws Error(unavailable) if it ended inside a frame.
  void finish() const;

 private:
  void begin_frame();
  void take_engine_error(const char* bytes, std::size_t count);

  std::array<std::uint8_t, 8> header_{};
  std::size_t header_bytes_ = 0;    // how much of header_ is there
  std::uint32_t payload_left_ = 0;  // of the current frame
  bool engine_error_ = false;       // the current frame is the engine's own error
  std::string engine_error_text_;
};

}  // namespace gantry::engine::docker
