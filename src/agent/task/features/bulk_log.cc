// bulkLog: the whole log as one compressed file, uploaded when its last line has been written (taskcluster.md 1.2).
#include "agent/task/artifact_upload.h"
#include "agent/task/feature.h"
#include "agent/task/gzip_file.h"

namespace gantry::agent {
namespace {

constexpr const char* artifact_name = "public/logs/terminal_bulk.log.gz";
constexpr const char* content_type = "application/gzip";
/// The spool is read from one place at a time: the live log's reader goes first.
constexpr Duration live_log_patience = seconds(60);

class BulkLog : public Feature {
 public:
  Async<> killed(RunContext& run) override {
    std::optional<Error> late;
    try {
      if (run.log.started()) co_await run.log.flush(live_log_patience);
    } catch (const Error& error) {
      late = error;  // its owner waits for it once more, and says so
    }
    // In the folder of spools, which is cleared of what a crash has left.
    ScratchFile scratch(run.settings.spool_directory + "/" + run_file_name(run.run, bulk_log_extension));
    auto file = co_await run.env.blocking([path = scratch.path] { return std::make_shared<GzipFile>(path); });
    std::int64_t offset = 0;
    for (;;) {
      auto piece = std::make_shared<std::string>(co_await run.log.read(offset));
      if (piece->empty()) break;
      offset += static_cast<std::int64_t>(piece->size());
      co_await run.env.blocking([file, piece] { return file->write(*piece), true; });
    }
    std::int64_t bytes = co_await run.env.blocking([file] { return file->finish(); });
    co_await upload_file(run, artifact_name, content_type, scratch.path, bytes);
  }
};

}  // namespace

std::unique_ptr<Feature> make_bulk_log() { return std::make_unique<BulkLog>(); }

}  // namespace gantry::agent
