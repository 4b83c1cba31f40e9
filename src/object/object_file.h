// The format of one object in a directory: the content, then a trailer with what the object is.
//
//   content | {"bytes":..,"contentEncoding":..,"contentType":..,"format":1,"name":..} | length of the JSON, 8 hex
//   digits | "GANTRYO1"
//
// One file, so that one rename replaces an object whole and a log that was written elsewhere can be taken over without
// copying it. An operator reads the trailer with `tail -c 400`, the content with `head -c`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/file_body.h"
#include "object/object_store.h"

namespace gantry::object {

/// An open file descriptor. All functions block; they throw Error(unavailable) with the system's reason, and not_found
/// from open_file if there is no such file.
class File {
 public:
  explicit File(int descriptor, std::string path)
      : descriptor_(std::make_shared<const net::Descriptor>(descriptor)), path_(std::move(path)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// To be read only.
  std::shared_ptr<const net::Descriptor> descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }
  std::int64_t size() const;
  void append(std::string_view bytes);
  /// Has the system begin to write what was appended to the disk, so that sync() will have less to wait for.
  void begin_writing_back();
  /// Exactly `bytes` bytes from `offset`, or fewer at the end of the file.
  std::string read_at(std::int64_t offset, std::size_t bytes) const;
  void truncate(std::int64_t bytes);
  void sync();

 private:
  std::shared_ptr<const net::Descriptor> descriptor_;
  std::string path_;
  std::int64_t appended_ = 0;
  std::int64_t written_back_ = 0;  // of `appended_`
};

enum class OpenMode { read, create_new, append };
std::shared_ptr<File> open_file(const std::string& path, OpenMode mode);
void rename_file(const std::string& from, const std::string& to);
/// Fine if it is not there.
void unlink_file(const std::string& path);
void sync_directory(const std::string& path);
/// With mode 0700; fine if it is there.
void make_directory(const std::string& path);

struct Trailer {
  std::string name;
  ObjectInfo info;
};

std::string trailer_text(const Trailer& trailer);
/// The trailer of a whole file; nothing if it has none or one that does not fit the file's size.
std::optional<Trailer> read_trailer(const File& file);

}  // namespace gantry::object
