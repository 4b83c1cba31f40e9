#include "cli/credentials.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/json.h"

namespace gantry::cli {
namespace {

constexpr std::size_t small_file_bytes_max = 16 * 1024;
constexpr std::size_t token_bytes = 32;
constexpr std::size_t read_step_bytes = 64 * 1024;

Error disk_error(std::string_view what, const std::string& path) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
               "check the directory and its permissions, or choose another with --data-dir");
}

/// Closes a file descriptor at the end of the scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

void write_durably(const std::string& path, std::string_view text) {
  ::unlink(path.c_str());
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.number() < 0) throw disk_error("create", path);
  while (!text.empty()) {
    ssize_t wrote = ::write(file.number(), text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw disk_error("write", path);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::fsync(file.number()) != 0) throw disk_error("write", path);
}

}  // namespace

DataDirectory data_directory(const std::string& chosen) {
  if (!chosen.empty()) return {std::filesystem::absolute(chosen).lexically_normal().string()};
  if (const char* variable = std::getenv("GANTRY_DATA_DIR"); variable && *variable) return data_directory(variable);
  const char* home = std::getenv("HOME");
  if (!home || !*home) {
    throw Error(ErrorCode::invalid_input, "there is no home directory to keep data in: $HOME is not set",
                "choose a directory with --data-dir or $GANTRY_DATA_DIR");
  }
  return {std::string(home) + "/.local/share/gantry"};
}

void make_data_directory(const DataDirectory& directory) {
  std::error_code error;
  std::filesystem::path path(directory.path);
  if (path.filename().empty()) path = path.parent_path();
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    errno = error.value();
    throw disk_error("make the directory", path.parent_path().string());
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw disk_error("make the directory", path.string());
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) throw disk_error("use", path.string());
  if (!S_ISDIR(info.st_mode)) {
    errno = ENOTDIR;
    throw disk_error("use", path.string());
  }
  if (::access(path.c_str(), W_OK | X_OK) != 0) throw disk_error("write to", path.string());
}

std::string read_text_file(const std::string& path, std::size_t bytes_max) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) {
    if (errno == ENOENT) throw Error(ErrorCode::not_found, fmt::format("there is no file {}", path));
    throw disk_error("read", path);
  }
  std::string text;
  for (;;) {
    std::size_t size = text.size();
    text.resize(size + read_step_bytes);
    ssize_t got = ::read(file.number(), text.data() + size, read_step_bytes);
    if (got < 0 && errno != EINTR) throw disk_error("read", path);
    text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (text.size() > bytes_max) {
      throw Error(ErrorCode::too_large, fmt::format("{} has more than {} bytes", path, bytes_max));
    }
  }
}

void write_private_file(const std::string& path, const std::string& text) {
  std::string fresh = path + ".new";
  write_durably(fresh, text);
  if (::rename(fresh.c_str(), path.c_str()) != 0) throw disk_error("write", path);
  std::string parent = std::filesystem::path(path).parent_path().string();
  Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.number() < 0 || ::fsync(directory.number()) != 0) throw disk_error("write", path);
}

wire::HawkCredentials read_credentials(const DataDirectory& directory) {
  std::string path = directory.credentials();
  auto document = parse_json(read_text_file(path, small_file_bytes_max));
  wire::HawkCredentials credentials;
  if (document && document.value().is_object()) {
    auto text = [&](std::string_view key) {
      const json::value* value = document.value().get_object().if_contains(key);
      return value && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    credentials.client_id = text("clientId");
    credentials.access_token = text("accessToken");
    credentials.certificate = text("certificate");
  }
  if (credentials.client_id.empty() || credentials.access_token.empty()) {
    throw Error(ErrorCode::invalid_input, fmt::format("{} holds no credentials", path),
                "it must be JSON with clientId and accessToken; remove it to have gantry dev make a new one");
  }
  return credentials;
}

wire::HawkCredentials read_or_make_credentials(Env& env, const DataDirectory& directory) {
  if (::access(directory.credentials().c_str(), F_OK) == 0) return read_credentials(directory);
  std::array<std::uint8_t, token_bytes> random{};
  env.random_bytes(random);
  wire::HawkCredentials credentials;
  credentials.client_id = "root";
  credentials.access_token = base64url_encode({reinterpret_cast<const char*>(random.data()), random.size()});
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("clientId", credentials.client_id).field("accessToken", credentials.access_token);
  out.end_object();
  write_private_file(directory.credentials(), text + "\n");
  return credentials;
}

std::string read_endpoint(const DataDirectory& directory) {
  std::string url = read_text_file(directory.endpoint(), small_file_bytes_max);
  while (!url.empty() && (url.back() == '\n' || url.back() == ' ')) url.pop_back();
  return url;
}

}  // namespace gantry::cli
