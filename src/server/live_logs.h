// Logs of runs while they run (design 3.13): appended by the agent, read by anyone from byte 0 and followed to the end;
// then each becomes an object. One file a run in the data directory.
//
// Appending is idempotent by offset: what is there already is skipped, a gap is refused with the size so far, so an
// agent that lost an answer or restarted just goes on. io_context thread only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/env.h"
#include "net/http.h"
#include "object/object_store.h"
#include "server/wait_line.h"
#include "wire/node_messages.h"

namespace gantry::server {

inline constexpr std::int64_t log_bytes_max = std::int64_t{1} << 30;  // the agent stops earlier; this is the backstop
inline constexpr std::size_t log_append_bytes_max = 4u << 20;

class LiveLogs {
 public:
  /// Makes `directory` if it does not exist; the logs in it go on. Throws Error(unavailable).
  LiveLogs(Env& env, std::string directory);

  /// Returns the size after the append. Throws Error(conflict) on a gap (the message tells the size), too_large.
  Async<std::int64_t> append(wire::RunRef run, std::int64_t offset, std::string bytes);
  /// Size so far; -1 if there is no such log.
  Async<std::int64_t> size(wire::RunRef run);
  /// Is there a log that has not been finished?
  bool is_open(wire::RunRef run) const;
  /// Those for which is_open(), from before a restart, too.
  std::vector<wire::RunRef> all_open() const;
  /// From `offset`. With `follow`, until finish(), waiting for the log to begin if it has not; without, what there is
  /// now, or nullptr if there is no such log.
  Async<std::shared_ptr<net::BodyReader>> read(wire::RunRef run, std::int64_t offset, bool follow);
  /// No more will come: hands the file to `objects` as `object_name`, readers end after the last byte. True if there
  /// was a log.
  Async<bool> finish(wire::RunRef run, object::ObjectStore& objects, std::string object_name);
  /// Removes a log that nobody will finish; readers end after the last byte. Throws Error(unavailable).
  Async<> discard(wire::RunRef run);
  /// Ends readers that wait for a log that will never begin.
  void close(wire::RunRef run);

 private:
  struct Log {
    std::string path;
    std::int64_t bytes = 0;
    bool exists = false;    // the file
    bool finished = false;  // by finish() or close()
    bool busy = false;      // an append or a finish is under way
    int descriptor = -1;    // kept for reading what finish() has renamed
    int readers = 0;
    std::string tail;  // the last bytes, while there are readers: most read just those, and need no file
    WaitLine news;
    bool telling = false;  // readers are told in a moment
    Event idle;
    ~Log();
  };
  class Reader;

  Async<std::shared_ptr<Log>> find(wire::RunRef run);
  /// Of new bytes: many readers are told less often, or they would cost the machine more than the task does.
  void tell(const std::shared_ptr<Log>& log);
  /// Its readers come to the end; whoever asks for this run next finds what is on the disk.
  void end(wire::RunRef run, const std::shared_ptr<Log>& log);
  std::string path_of(wire::RunRef run) const;
  static Async<> wait_idle(std::shared_ptr<Log> log);

  Env& env_;
  std::string directory_;
  std::map<wire::RunRef, std::shared_ptr<Log>> logs_;
  std::set<wire::RunRef> files_;  // the logs whose file may be there
};

}  // namespace gantry::server
