#include "cli/credentials.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/json.h"

namespace gantry::cli {
namespace {

constexpr std::size_t small_file_bytes_max = 16 * 1024;
constexpr std::size_t token_bytes = 32;

Error disk_error(std::string_view what, const std::string& path) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
               "check the directory and its permissions, or choose another with --data-dir");
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
