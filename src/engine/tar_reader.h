// Reads a tar archive from a stream without ever holding more than a block and a name: ustar, GNU long names, pax paths
// and sizes (POSIX.1-2017 pax; GNU tar manual, "Basic Tar Format"). What it reads was written by whoever owned the
// container: nothing in it is trusted, lengths least of all, and names may say anything ("../x", "/etc"): the caller
// decides where a name leads.
//
// Own code, not libarchive: that one pulls its input by blocking callbacks and would need a thread for each archive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace gantry::engine {

enum class TarEntryType { file, directory, hard_link, symbolic_link, other };

struct TarEntry {
  std::string name;  // as it stands in the archive, 1 to 4096 bytes without NUL; a directory's ends in "/" or not
  TarEntryType type = TarEntryType::other;
  std::string link_target;  // of the two link types
  std::int64_t bytes = 0;   // of content that follows; only a file has any
  int mode = 0;             // permission bits, 0 to 07777
};

/// Throws Error(corrupt) for an archive that is damaged or cut off, Error(too_large) for names past their bounds,
/// Error(unsupported) for sparse files, and whatever the stream throws; after an error it must not be used again.
class TarReader {
 public:
  explicit TarReader(std::shared_ptr<net::BodyReader> archive) : archive_(std::move(archive)) {}

  /// The next entry, past what was not read of the last one; nothing at the end.
  Async<std::optional<TarEntry>> next();
  /// The next bytes of the current entry; empty at its end.
  Async<std::string> read_some();

 private:
  Async<bool> read_block();
  Async<std::string> read_meta(std::int64_t bytes);
  Async<std::string> read_piece(std::int64_t bytes_max);
  Async<> skip(std::int64_t bytes);
  Async<> drain();
  /// Takes the extension headers in front of an entry into account.
  void apply_extensions(TarEntry& entry);
  void parse_pax(std::string_view records);

  std::shared_ptr<net::BodyReader> archive_;
  std::string buffer_;
  std::size_t buffer_at_ = 0;
  std::string block_;              // the last header
  std::int64_t content_left_ = 0;  // of the current entry
  std::int64_t padding_left_ = 0;  // after it, up to the next block
  std::optional<std::string> next_name_;
  std::optional<std::string> next_link_;
  std::optional<std::int64_t> next_bytes_;
  bool ended_ = false;
};

/// The content of the reader's current entry as a body; to be read before the next call of next().
std::shared_ptr<net::BodyReader> tar_entry_body(std::shared_ptr<TarReader> reader);

}  // namespace gantry::engine
