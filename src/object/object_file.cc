#include "object/object_file.h"

#include <cerrno>
#include <charconv>
#include <system_error>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object/limits.h"

namespace gantry::object {

namespace json = boost::json;

namespace {

constexpr std::string_view trailer_mark = "GANTRYO1";
constexpr std::size_t length_digits = 8;
constexpr int trailer_format = 1;

[[noreturn]] void fail(std::string_view what, const std::string& path, int error) {
  std::string hint;
  if (error == ENOSPC || error == EDQUOT) hint = "free some space on the disk that holds the objects";
  if (error == EACCES || error == EPERM || error == EROFS)
    hint = "the directory must be writable for the user of Gantry";
  throw Error(error == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
              fmt::format("{} {}: {}", what, path, std::generic_category().message(error)), hint);
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string().data(), value->get_string().size())
                                     : std::string();
}

}  // namespace

std::int64_t File::size() const {
  struct stat status{};
  if (::fstat(descriptor_->number(), &status) != 0) fail("look at", path_, errno);
  return status.st_size;
}

void File::append(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor_->number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path_, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    appended_ += written;
  }
}

void File::begin_writing_back() {
  // Only a hint: what it does not do, sync() does.
  ::sync_file_range(descriptor_->number(), written_back_, appended_ - written_back_, SYNC_FILE_RANGE_WRITE);
  written_back_ = appended_;
}

std::string File::read_at(std::int64_t offset, std::size_t bytes) const {
  std::string text(bytes, '\0');
  std::size_t filled = 0;
  while (filled < bytes) {
    ssize_t count =
        ::pread(descriptor_->number(), text.data() + filled, bytes - filled, offset + static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("read", path_, errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  text.resize(filled);
  return text;
}

void File::truncate(std::int64_t bytes) {
  if (::ftruncate(descriptor_->number(), bytes) != 0) fail("shorten", path_, errno);
}

void File::sync() {
  if (::fsync(descriptor_->number()) != 0) fail("make durable", path_, errno);
}

std::shared_ptr<File> open_file(const std::string& path, OpenMode mode) {
  int flags = O_RDONLY;
  if (mode == OpenMode::create_new) flags = O_RDWR | O_CREAT | O_EXCL | O_APPEND;
  if (mode == OpenMode::append) flags = O_RDWR | O_APPEND;
  int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) fail("open", path, errno);
  return std::make_shared<File>(descriptor, path);
}

void rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  if (errno == EXDEV) {
    throw Error(ErrorCode::invalid_input, fmt::format("move {} to {}: not on the same file system", from, to),
                "keep the spool and the objects on one file system");
  }
  fail("move", from, errno);
}

void unlink_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("remove", path, errno);
}

void sync_directory(const std::string& path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail("open", path, errno);
  File(descriptor, path).sync();
}

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("create directory", path, errno);
}

std::string trailer_text(const Trailer& trailer) {
  json::object object;
  object["bytes"] = trailer.info.bytes;
  object["contentEncoding"] = trailer.info.content_encoding;
  object["contentType"] = trailer.info.content_type;
  object["format"] = trailer_format;
  object["name"] = trailer.name;
  std::string text = json::serialize(object);
  return text + fmt::format("{:08x}", text.size()) + std::string(trailer_mark);
}

std::optional<Trailer> read_trailer(const File& file) {
  constexpr std::size_t end_bytes = length_digits + trailer_mark.size();
  std::int64_t size = file.size();
  if (size < static_cast<std::int64_t>(end_bytes)) return std::nullopt;
  // Trailers are almost always short enough for one read.
  constexpr std::int64_t guess_bytes = 1024;
  std::int64_t from = std::max<std::int64_t>(0, size - guess_bytes);
  std::string tail = file.read_at(from, static_cast<std::size_t>(size - from));
  if (!tail.ends_with(trailer_mark) || tail.size() < end_bytes) return std::nullopt;
  std::uint32_t json_bytes = 0;
  const char* digits = tail.data() + tail.size() - end_bytes;
  auto parsed = std::from_chars(digits, digits + length_digits, json_bytes, 16);
  if (parsed.ec != std::errc() || parsed.ptr != digits + length_digits || json_bytes > trailer_json_bytes_max) {
    return std::nullopt;
  }
  std::int64_t content_bytes = size - static_cast<std::int64_t>(end_bytes) - json_bytes;
  if (content_bytes < 0) return std::nullopt;
  std::string text = content_bytes >= from ? tail.substr(static_cast<std::size_t>(content_bytes - from), json_bytes)
                                           : file.read_at(content_bytes, json_bytes);
  json::parse_options options;
  options.allow_invalid_utf8 = true;  // a name may be any bytes
  boost::system::error_code failed;
  json::value value = json::parse(text, failed, {}, options);
  if (failed || !value.is_object()) return std::nullopt;
  const json::object& object = value.get_object();
  const json::value* format = object.if_contains("format");
  const json::value* bytes = object.if_contains("bytes");
  if (!format || *format != trailer_format || !bytes || !bytes->is_int64() || bytes->get_int64() != content_bytes) {
    return std::nullopt;
  }
  return Trailer{text_at(object, "name"),
                 {content_bytes, text_at(object, "contentType"), text_at(object, "contentEncoding")}};
}

}  // namespace gantry::object
