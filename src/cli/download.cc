#include "cli/download.h"

#include <charconv>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr int pages_max = 10'000;
constexpr Duration stall_max = minutes(1);
constexpr std::size_t bar_columns = 32;
constexpr std::size_t inflate_step_bytes = 256 * 1024;

std::string artifacts_target(const std::string& task, int run) {
  return run < 0 ? fmt::format("/api/queue/v1/task/{}/artifacts", task)
                 : fmt::format("/api/queue/v1/task/{}/runs/{}/artifacts", task, run);
}

/// Artifact names keep their slashes in URLs.
std::string encoded_name(std::string_view name) {
  std::string out;
  while (true) {
    auto slash = name.find('/');
    out += net::percent_encode(name.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    out += '/';
    name.remove_prefix(slash + 1);
  }
}

Error file_error(std::string_view what, const std::string& path, int cause) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(cause)));
}

/// A file that appears under its name only when it is complete; or stdout.
class Sink {
 public:
  explicit Sink(std::string path) : path_(std::move(path)), part_(path_ + ".part") {
    if (path_ == "-") {
      descriptor_ = STDOUT_FILENO;
      return;
    }
    std::error_code error;
    auto parent = std::filesystem::path(path_).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (error) throw file_error("make the directory", parent.string(), error.value());
    descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw file_error("create", part_, errno);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink() {
    if (path_ == "-" || descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(part_.c_str());
  }

  void write(std::string_view bytes) {
    try {
      write_all(descriptor_, bytes);
    } catch (const Error& error) {
      throw error.in(path_);
    }
    written_ += static_cast<std::int64_t>(bytes.size());
  }
  void finish() {
    if (path_ == "-") return;
    int closed = ::close(std::exchange(descriptor_, -1));
    if (closed != 0 || ::rename(part_.c_str(), path_.c_str()) != 0) {
      int cause = errno;
      ::unlink(part_.c_str());
      throw file_error("write", path_, cause);
    }
  }
  std::int64_t written() const { return written_; }

 private:
  std::string path_;
  std::string part_;
  int descriptor_ = -1;
  std::int64_t written_ = 0;
};

/// Undoes Content-Encoding: gzip.
class Inflater {
 public:
  Inflater() { GANTRY_ASSERT(::inflateInit2(&stream_, 15 + 16) == Z_OK); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(&stream_); }

  void feed(std::string_view bytes, Sink& sink) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    std::string out(inflate_step_bytes, '\0');
    while (!ended_) {
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(out.size());
      int result = ::inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        throw Error(ErrorCode::corrupt, "the artifact is stored as gzip and cannot be unpacked");
      }
      sink.write(std::string_view(out).substr(0, out.size() - stream_.avail_out));
      ended_ = result == Z_STREAM_END;
      if (stream_.avail_out > 0) return;  // all input is used up
    }
  }
  void finish() const {
    if (!ended_) throw Error(ErrorCode::corrupt, "the artifact is stored as gzip and ends too early");
  }

 private:
  z_stream stream_{};
  bool ended_ = false;
};

std::int64_t declared_bytes(const net::Headers& headers) {
  std::string_view text = headers.get("content-length");
  std::int64_t bytes = -1;
  std::from_chars(text.data(), text.data() + text.size(), bytes);
  return text.empty() ? -1 : bytes;
}

void draw(StatusLine& line, std::string_view name, std::int64_t got, std::int64_t total) {
  if (!line.visible()) return;
  std::string amount = total > 0 ? fmt::format("{} of {}", format_bytes(got), format_bytes(total)) : format_bytes(got);
  line.show(fmt::format("{} {} {}", shorten(name, 40), progress_bar(got, total, bar_columns), amount));
}

/// The answer that holds the bytes: an artifact is behind a redirect.
Async<net::OpenResponse> open_artifact(std::shared_ptr<Client> client, std::string target) {
  net::OpenResponse response = co_await client->open(std::move(target), stall_max);
  if (response.head.status != 303) co_return response;
  std::string location(response.head.headers.get("location"));
  co_return co_await client->open_url(std::move(location), stall_max);
}

}  // namespace

Async<std::vector<ArtifactEntry>> list_artifacts(std::shared_ptr<Client> client, std::string task, int run) {
  std::vector<ArtifactEntry> entries;
  std::string token;
  for (int page = 0; page < pages_max; ++page) {
    std::string query = token.empty() ? "" : "?continuationToken=" + net::percent_encode(token);
    json::value answer = co_await client->get(artifacts_target(task, run) + query);
    for (const json::value& artifact : array_at(answer, "artifacts")) {
      bool sized = !value_at(artifact, "contentLength").is_null();
      entries.push_back({std::string(text_at(artifact, "name")), std::string(text_at(artifact, "storageType")),
                         std::string(text_at(artifact, "contentType")),
                         sized ? number_at(artifact, "contentLength") : -1, std::string(text_at(artifact, "expires"))});
    }
    token = text_at(answer, "continuationToken");
    if (token.empty()) break;
  }
  co_return entries;
}

std::string local_path(const std::string& directory, std::string_view name) {
  std::filesystem::path relative(name);
  bool safe = !name.empty() && relative.is_relative() && relative.has_filename();
  for (const auto& part : relative) safe = safe && part != ".." && part != ".";
  if (!safe) {
    throw Error(ErrorCode::invalid_input,
                fmt::format("artifact \"{}\" has a name that is no place in a directory", shorten(name, 200)),
                "fetch it to a name of your own: gantry task download TASK NAME --file FILE");
  }
  return (std::filesystem::path(directory) / relative).string();
}

Async<std::int64_t> download_artifact(std::shared_ptr<Client> client, std::string task, int run, std::string name,
                                      std::string path) {
  std::string target = artifacts_target(task, run) + "/" + encoded_name(name);
  net::OpenResponse response = co_await open_artifact(client, std::move(target));
  bool packed = response.head.headers.get("content-encoding") == "gzip";
  std::int64_t total = declared_bytes(response.head.headers);
  std::int64_t got = 0;
  Sink sink(path);
  StatusLine line(client->env());
  std::optional<Inflater> inflater;
  if (packed) inflater.emplace();
  for (;;) {
    std::string piece = co_await response.body->read_some();
    if (piece.empty()) break;
    got += static_cast<std::int64_t>(piece.size());
    if (inflater) {
      inflater->feed(piece, sink);
    } else {
      sink.write(piece);
    }
    draw(line, name, got, total);
  }
  if (inflater) inflater->finish();
  sink.finish();
  co_return sink.written();
}

}  // namespace gantry::cli
