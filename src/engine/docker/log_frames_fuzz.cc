// Any bytes in any pieces: no crash, never more payload than input, and the same payload however the input is cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/docker/log_frames.h"

namespace {

std::optional<std::string> decode_all(const std::string& input, std::size_t piece_bytes) {
  gantry::engine::docker::LogFrameDecoder decoder;
  std::string output;
  try {
    for (std::size_t at = 0; at < input.size(); at += piece_bytes) {
      for (const auto& piece : decoder.decode(input.substr(at, piece_bytes))) output += piece.bytes;
    }
    decoder.finish();
  } catch (const gantry::Error&) {
    return std::nullopt;
  }
  return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::size_t piece_bytes = 1 + data[0] % 37;
  std::string input(reinterpret_cast<const char*>(data + 1), size - 1);
  auto whole = decode_all(input, std::max<std::size_t>(1, input.size()));
  auto pieces = decode_all(input, piece_bytes);
  GANTRY_ASSERT(whole == pieces);
  GANTRY_ASSERT(!whole || whole->size() <= input.size());
  return 0;
}
