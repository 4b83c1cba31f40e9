// The images that an agent has pulled or loaded, when each was last used, and by how many runs now. Kept in a file, so
// that what an agent has brought to the machine can be removed again after a restart. The file is no more than that
// list: if it is lost, images stay.
//
// io_context thread only. Life: construct (reads the file; blocks), use, then stop().
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"

namespace gantry::agent {

struct ImageEntry {
  std::string reference;       // the engine's name for it: "busybox:1.36"
  std::string id;              // "sha256:..." when it was pulled or loaded; empty if the engine does not tell
  std::string source;          // for people: "busybox:1.36", "public/image.tar of task fN1S..."
  std::string digest;          // "busybox@sha256:..." if it came from a registry
  std::string archive_sha256;  // of the artifact, as it was downloaded; empty if it came from a registry
  std::int64_t bytes = 0;      // the image's size
  Duration fetch_time{};       // that the pull or load took; 0: not known
  Time acquired;
  Time last_used;
  int in_use = 0;  // runs that use it now; not in the file
};

class ImageList {
 public:
  /// Reads `path`. A file that cannot be used counts as an empty one, which is logged.
  ImageList(Env& env, std::string path);

  /// Replaces the entry of that reference.
  void add(ImageEntry entry);
  void remove(const std::string& reference);
  /// nullptr if it is not ours.
  const ImageEntry* find(const std::string& reference) const;
  std::vector<ImageEntry> entries() const;
  /// Of what is not ours nothing is kept but how many use it.
  void begin_use(const std::string& reference);
  void end_use(const std::string& reference);
  /// How many runs use it, ours or not.
  int in_use(const std::string& reference) const;
  /// Has uses written down that are not yet; they are known after a restart then.
  void save_uses();
  /// Writes down what is not yet written.
  Async<> stop();

 private:
  void changed();
  Async<> save();
  std::string text() const;
  void read();

  Env& env_;
  std::string path_;
  std::map<std::string, ImageEntry> entries_;
  std::map<std::string, int> in_use_;
  bool dirty_ = false;
  bool uses_unsaved_ = false;
  bool saving_ = false;
  Time saved_;
  Scope scope_;
};

}  // namespace gantry::agent
