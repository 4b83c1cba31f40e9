// An image's archive, as `docker save` writes it, on its way from an artifact to the engine. What it says is not
// believed: only the files that its one image is made of go on, under names of ours, with the one reference that we
// give it. So an archive cannot give a name to an image, replace another one, or bring two.
//
// The archive's files are kept in one file without a name, which is gone with the process.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "net/http.h"

namespace gantry::agent {

/// Bytes on the disk that nobody else sees. Blocking; one thread at a time.
class HiddenFile {
 public:
  /// Throws Error(unavailable).
  HiddenFile(const std::string& directory, const std::string& name);
  HiddenFile(const HiddenFile&) = delete;
  HiddenFile& operator=(const HiddenFile&) = delete;
  ~HiddenFile();
  /// At the end. Throws Error(unavailable) if the disk takes no more, or would have less than disk_free_bytes_min left.
  void append(std::string_view bytes);
  std::string read(std::int64_t offset, std::size_t bytes) const;
  std::int64_t bytes() const { return bytes_; }

 private:
  void check_room() const;
  std::string directory_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
  std::int64_t checked_ = -1;  // how many there were when the disk was last looked at
};

/// Where a file of an archive is in the hidden file.
struct ArchivedFile {
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  bool operator==(const ArchivedFile&) const = default;
};

/// By names without "." and empty parts. The last entry of a name counts, as if the archive had been unpacked.
struct ArchiveIndex {
  std::map<std::string, ArchivedFile, std::less<>> files;
  std::map<std::string, std::string, std::less<>> links;  // to other names
};

/// A name as it stands in an index; nothing if it leads out of the archive, or is that of its top.
std::optional<std::string> archive_name(std::string_view name);

/// The files that one image is made of.
struct ArchivedImage {
  ArchivedFile config;
  std::vector<ArchivedFile> layers;  // from the bottom up
};

/// The file of this name, links followed; nothing if there is none.
std::optional<ArchivedFile> find_file(const ArchiveIndex& index, std::string_view name);

/// What manifest.json (these bytes) says. Errors (invalid_input) for anything but exactly one image, all of whose
/// files are there.
Result<ArchivedImage> read_manifest(const ArchiveIndex& index, std::string_view manifest);

struct SpooledArchive {
  std::shared_ptr<HiddenFile> file;
  ArchiveIndex index;
};

/// Reads a tar archive to its end. Throws Error(corrupt, too_large, unsupported, unavailable) and what `tar` throws.
Async<SpooledArchive> spool_archive(Env& env, std::string directory, std::shared_ptr<net::BodyReader> tar);

/// The one image in it. Throws as read_manifest() does.
Async<ArchivedImage> find_image(Env& env, SpooledArchive archive);

struct ImageTar {
  std::shared_ptr<net::BodyReader> body;
  std::int64_t bytes = 0;
};

/// An archive of just that image, called `reference`. `sent` hears how many of its bytes have been read, of how many.
ImageTar rewritten(Env& env, const SpooledArchive& archive, const ArchivedImage& image, const std::string& reference,
                   std::function<void(std::int64_t, std::int64_t)> sent);

}  // namespace gantry::agent
