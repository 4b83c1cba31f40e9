// Undoes a stream's compression as it comes: gzip (several members, too), zstd and lz4 frames.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/env.h"
#include "net/http.h"

namespace gantry::agent {

enum class Compression { none, gzip, zstd, lz4 };

/// What the first bytes say; `none` for anything else.
Compression compression_of_bytes(std::string_view first);
/// What a name's end says: ".tar", ".tar.gz" or ".tgz", ".tar.zst", ".tar.lz4"; nothing for others.
std::optional<Compression> compression_of_name(std::string_view name);
std::string_view compression_name(Compression compression);

/// One thread at a time.
class Decompressor {
 public:
  virtual ~Decompressor() = default;
  /// Takes from the front of `input` and returns what that makes, at most piece_bytes_max bytes; nothing more comes of
  /// this input once it is empty and so is the result. Throws Error(corrupt).
  virtual std::string step(std::string_view& input) = 0;
  /// Throws Error(corrupt) unless what has been taken is whole.
  virtual void check_end() const = 0;
};

std::unique_ptr<Decompressor> make_decompressor(Compression compression);

/// What is known of a stream once it has been read to its end.
struct StreamSum {
  std::int64_t bytes = 0;  // as they came, compressed
  Sha256Digest sha256{};
};

/// The stream without its compression; works on the blocking pool. Throws Error(corrupt) for damaged or cut off
/// bytes, Error(too_large) past `bytes_max` of result, and what `body` throws. `sum` is set when the end has been read;
/// `taken` hears how many bytes have come.
std::shared_ptr<net::BodyReader> decompressed(Env& env, std::shared_ptr<net::BodyReader> body, Compression compression,
                                              std::int64_t bytes_max, std::shared_ptr<StreamSum> sum,
                                              std::function<void(std::int64_t)> taken);

}  // namespace gantry::agent
