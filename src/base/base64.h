// Base64 (RFC 4648) in the two forms that protocols here use: the standard alphabet with padding, and the url-safe one
// without. Decoding is strict: what decodes is exactly what encoding would have written, so no two texts mean the same
// bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gantry {

std::string base64_encode(std::string_view bytes);
void append_base64(std::string& out, std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);

std::string base64url_encode(std::string_view bytes);
void append_base64url(std::string& out, std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace gantry
