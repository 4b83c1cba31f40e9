#include "agent/images/decompress.h"

#include <array>

#include <fmt/format.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/images/limits.h"
#include "base/error.h"

namespace gantry::agent {
namespace {

struct Format {
  Compression compression;
  std::string_view name;
  std::string_view magic;
};
constexpr std::array<Format, 3> formats = {{
    {Compression::gzip, "gzip", "\x1f\x8b"},
    {Compression::zstd, "zstd", "\x28\xb5\x2f\xfd"},
    {Compression::lz4, "lz4", "\x04\x22\x4d\x18"},
}};

constexpr int zlib_gzip_window = 15 + 16;

[[noreturn]] void damaged(Compression compression, std::string_view how) {
  throw Error(ErrorCode::corrupt, fmt::format("the {} data is damaged: {}", compression_name(compression), how));
}

class Plain : public Decompressor {
 public:
  std::string step(std::string_view& input) override {
    std::string piece(input.substr(0, piece_bytes_max));
    input.remove_prefix(piece.size());
    return piece;
  }
  void check_end() const override {}
};

class Gzip : public Decompressor {
 public:
  Gzip() { GANTRY_ASSERT(inflateInit2(&stream_, zlib_gzip_window) == Z_OK); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { inflateEnd(&stream_); }

  std::string step(std::string_view& input) override {
    std::string piece(piece_bytes_max, '\0');
    stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream_.avail_out = static_cast<uInt>(piece.size());
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    if (at_end_ && !input.empty()) {  // another member follows
      inflateReset(&stream_);
      at_end_ = false;
    }
    int result = at_end_ ? Z_OK : inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_STREAM_END) at_end_ = true;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      damaged(Compression::gzip, stream_.msg ? stream_.msg : "it makes no sense");
    }
    input.remove_prefix(input.size() - stream_.avail_in);
    piece.resize(piece.size() - stream_.avail_out);
    return piece;
  }
  void check_end() const override {
    if (!at_end_) damaged(Compression::gzip, "it is cut off");
  }

 private:
  z_stream stream_{};
  bool at_end_ = false;
};

class Zstd : public Decompressor {
 public:
  Zstd() : stream_(ZSTD_createDStream()) { GANTRY_ASSERT(stream_ != nullptr); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  std::string step(std::string_view& input) override {
    std::string piece(piece_bytes_max, '\0');
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    if (at_end_ && input.empty()) return {};  // it would wait for another frame
    std::size_t result = ZSTD_decompressStream(stream_, &out, &in);
    if (ZSTD_isError(result)) damaged(Compression::zstd, ZSTD_getErrorName(result));
    at_end_ = result == 0;
    input.remove_prefix(in.pos);
    piece.resize(out.pos);
    return piece;
  }
  void check_end() const override {
    if (!at_end_) damaged(Compression::zstd, "it is cut off");
  }

 private:
  ZSTD_DStream* stream_;
  bool at_end_ = false;
};

class Lz4 : public Decompressor {
 public:
  Lz4() { GANTRY_ASSERT(!LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION))); }
  Lz4(const Lz4&) = delete;
  Lz4& operator=(const Lz4&) = delete;
  ~Lz4() override { LZ4F_freeDecompressionContext(context_); }

  std::string step(std::string_view& input) override {
    std::string piece(piece_bytes_max, '\0');
    std::size_t made = piece.size();
    std::size_t taken = input.size();
    if (at_end_ && input.empty()) return {};
    std::size_t result = LZ4F_decompress(context_, piece.data(), &made, input.data(), &taken, nullptr);
    if (LZ4F_isError(result)) damaged(Compression::lz4, LZ4F_getErrorName(result));
    at_end_ = result == 0;
    input.remove_prefix(taken);
    piece.resize(made);
    return piece;
  }
  void check_end() const override {
    if (!at_end_) damaged(Compression::lz4, "it is cut off");
  }

 private:
  LZ4F_dctx* context_ = nullptr;
  bool at_end_ = false;
};

class DecompressedBody : public net::BodyReader {
 public:
  DecompressedBody(Env& env, std::shared_ptr<net::BodyReader> body, Compression compression, std::int64_t bytes_max,
                   std::shared_ptr<StreamSum> sum, std::function<void(std::int64_t)> taken)
      : env_(env),
        body_(std::move(body)),
        work_(std::make_shared<Work>()),
        bytes_left_(bytes_max),
        bytes_max_(bytes_max),
        sum_(std::move(sum)),
        taken_(std::move(taken)) {
    work_->decompressor = make_decompressor(compression);
  }

  Async<std::string> read_some() override {
    while (!ended_) {
      if (work_->rest.empty() && !work_->more) co_await take();
      if (ended_) break;
      std::string piece = co_await env_.blocking([work = work_] { return work->step(); });
      if (piece.empty()) continue;
      bytes_left_ -= static_cast<std::int64_t>(piece.size());
      if (bytes_left_ < 0) {
        throw Error(ErrorCode::too_large, fmt::format("it has more than {} bytes when it is unpacked", bytes_max_));
      }
      co_return piece;
    }
    co_return std::string();
  }

 private:
  /// For one thread at a time: that of the pool while it works, else the io_context's.
  struct Work {
    std::unique_ptr<Decompressor> decompressor;
    std::string input;
    std::string_view rest;
    bool hashed = false;
    bool more = false;  // there may be more to come of what was taken
    Sha256 sha256;

    std::string step() {
      if (!hashed) sha256.update(input);
      hashed = true;
      std::string piece = decompressor->step(rest);
      more = !piece.empty();
      return piece;
    }
  };

  Async<> take() {
    std::string input = co_await body_->read_some();
    if (input.empty()) {
      work_->decompressor->check_end();
      sum_->bytes = bytes_;
      sum_->sha256 = work_->sha256.finish();
      ended_ = true;
      co_return;
    }
    bytes_ += static_cast<std::int64_t>(input.size());
    if (taken_) taken_(bytes_);
    work_->input = std::move(input);
    work_->rest = work_->input;
    work_->hashed = false;
  }

  Env& env_;
  std::shared_ptr<net::BodyReader> body_;
  std::shared_ptr<Work> work_;
  std::int64_t bytes_ = 0;
  std::int64_t bytes_left_;
  std::int64_t bytes_max_;
  std::shared_ptr<StreamSum> sum_;
  std::function<void(std::int64_t)> taken_;
  bool ended_ = false;
};

}  // namespace

Compression compression_of_bytes(std::string_view first) {
  for (const Format& format : formats) {
    if (first.starts_with(format.magic)) return format.compression;
  }
  return Compression::none;
}

std::optional<Compression> compression_of_name(std::string_view name) {
  if (name.ends_with(".tar")) return Compression::none;
  if (name.ends_with(".tar.gz") || name.ends_with(".tgz")) return Compression::gzip;
  if (name.ends_with(".tar.zst")) return Compression::zstd;
  if (name.ends_with(".tar.lz4")) return Compression::lz4;
  return std::nullopt;
}

std::string_view compression_name(Compression compression) {
  for (const Format& format : formats) {
    if (format.compression == compression) return format.name;
  }
  return "tar";
}

std::unique_ptr<Decompressor> make_decompressor(Compression compression) {
  switch (compression) {
    case Compression::none: break;
    case Compression::gzip: return std::make_unique<Gzip>();
    case Compression::zstd: return std::make_unique<Zstd>();
    case Compression::lz4: return std::make_unique<Lz4>();
  }
  return std::make_unique<Plain>();
}

std::shared_ptr<net::BodyReader> decompressed(Env& env, std::shared_ptr<net::BodyReader> body, Compression compression,
                                              std::int64_t bytes_max, std::shared_ptr<StreamSum> sum,
                                              std::function<void(std::int64_t)> taken) {
  return std::make_shared<DecompressedBody>(env, std::move(body), compression, bytes_max, std::move(sum),
                                            std::move(taken));
}

}  // namespace gantry::agent
