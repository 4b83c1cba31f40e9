// Small text helpers for messages and command lines.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gantry {

/// The candidate nearest to `word` by edit distance, if it is near enough to be what was meant; else empty.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> candidates);

/// At most `bytes_max` bytes of `text`, with "..." if it was cut, never inside a character. Control characters and what
/// is not UTF-8 become '?', so the result may be written into JSON.
std::string shorten(std::string_view text, std::size_t bytes_max);

/// "512", "512k", "256m", "1.5g", "2GiB", "1t" (powers of 1024) as bytes; nothing for anything else.
std::optional<std::int64_t> parse_bytes(std::string_view text);
/// "0 B", "812 B", "3.2 MiB".
std::string format_bytes(std::int64_t bytes);

/// How many characters (code points) UTF-8 has, as JSON schemas count them.
std::size_t character_count(std::string_view utf8);

bool is_printable_ascii(std::string_view text);

}  // namespace gantry
