// Bounds of object stores.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gantry::object {

inline constexpr std::size_t name_bytes_max = 2048;
inline constexpr std::size_t content_type_bytes_max = 255;
inline constexpr std::size_t write_piece_bytes = 256 * 1024;  // one write to the disk
inline constexpr std::size_t write_back_bytes = 8 << 20;      // so much, and the system is told to begin writing
inline constexpr std::uint32_t trailer_json_bytes_max = 16 * 1024;

}  // namespace gantry::object
