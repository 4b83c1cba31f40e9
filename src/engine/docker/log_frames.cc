#include "engine/docker/log_frames.h"

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

#include "base/error.h"
#include "engine/docker/limits.h"

namespace gantry::engine::docker {

namespace {

constexpr std::uint8_t stream_stderr = 2;  // 0 is stdin (never sent), 1 is stdout
constexpr std::uint8_t stream_engine_error = 3;

}  // namespace

std::vector<Output> LogFrameDecoder::decode(std::string_view bytes) {
  std::vector<Output> pieces;
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (payload_left_ == 0) {
      std::size_t count = std::min(header_.size() - header_bytes_, bytes.size() - at);
      std::memcpy(header_.data() + header_bytes_, bytes.data() + at, count);
      header_bytes_ += count;
      at += count;
      if (header_bytes_ == header_.size()) begin_frame();
      continue;
    }
    std::size_t count = std::min<std::size_t>(payload_left_, bytes.size() - at);
    payload_left_ -= static_cast<std::uint32_t>(count);
    if (engine_error_) {
      take_engine_error(bytes.data() + at, count);
    } else {
      int stream = header_[0] == stream_stderr ? 2 : 1;
      if (pieces.empty() || pieces.back().stream != stream) pieces.push_back({stream, {}});
      pieces.back().bytes.append(bytes.substr(at, count));
    }
    at += count;
  }
  return pieces;
}

void LogFrameDecoder::begin_frame() {
  header_bytes_ = 0;
  if (header_[0] > stream_engine_error || header_[1] != 0 || header_[2] != 0 || header_[3] != 0) {
    throw Error(ErrorCode::corrupt,
                fmt::format("the container's output is not in frames (a frame starts with {:02x} {:02x} {:02x} {:02x})",
                            header_[0], header_[1], header_[2], header_[3]),
                "was the container created with a terminal, or by something else than Gantry?");
  }
  payload_left_ = std::uint32_t{header_[4]} << 24 | std::uint32_t{header_[5]} << 16 | std::uint32_t{header_[6]} << 8 |
                  std::uint32_t{header_[7]};
  engine_error_ = header_[0] > stream_stderr;
  if (engine_error_ && payload_left_ == 0) take_engine_error(nullptr, 0);
}

void LogFrameDecoder::take_engine_error(const char* bytes, std::size_t count) {
  std::size_t room = error_text_bytes_max - engine_error_text_.size();
  if (count > 0) engine_error_text_.append(bytes, std::min(room, count));
  if (payload_left_ > 0 && engine_error_text_.size() < error_text_bytes_max) return;
  throw Error(ErrorCode::unavailable, fmt::format("the engine broke off the output: {}", engine_error_text_));
}

void LogFrameDecoder::finish() const {
  if (header_bytes_ == 0 && payload_left_ == 0) return;
  throw Error(ErrorCode::unavailable, "the container's output was cut off inside a frame");
}

}  // namespace gantry::engine::docker
