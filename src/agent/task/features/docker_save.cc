// dockerSave: keeps the container's files, as the task has left them, as an image (taskcluster.md 1.2).
#include <filesystem>

#include <fmt/format.h>

#include "agent/images/limits.h"
#include "agent/task/artifact_upload.h"
#include "agent/task/feature.h"
#include "agent/task/gzip_file.h"

namespace gantry::agent {
namespace {

constexpr const char* artifact_name = "public/dockerImage.tar";
constexpr const char* content_type = "application/x-tar";
constexpr std::string_view scratch_extension = "image.gz";
constexpr Duration life_max = hours(7 * 24);
constexpr std::int64_t saved_bytes_max = std::int64_t{64} << 30;  // of the image, before compression
constexpr std::int64_t room_check_bytes = 64 << 20;               // between two looks at how full the disk is

void check_room(const std::string& directory) {
  std::error_code error;
  auto space = std::filesystem::space(directory, error);
  if (error || static_cast<std::int64_t>(space.available) > disk_free_bytes_min) return;
  throw Error(ErrorCode::too_large, "the disk has no room for the saved image");
}

class DockerSave : public Feature {
 public:
  Async<> stopped(RunContext& run) override {
    std::optional<Error> failure;
    try {
      co_await save(run);
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) throw failure->in("the container could not be saved as an image");
  }

  Async<> removed(RunContext& run) override {
    if (!reference_.empty()) co_await run.engine.remove_image(reference_);
  }

 private:
  Async<> save(RunContext& run) {
    // A tag must not begin with what an id may begin with.
    reference_ = fmt::format("gantry/saved:run-{}-{}", run.run.task.to_string(), run.run.run);
    co_await run.engine.commit_container(run.container, reference_);
    ScratchFile scratch(run.settings.spool_directory + "/" + run_file_name(run.run, scratch_extension));
    std::int64_t bytes = co_await pack(run, scratch.path);
    Time expires = std::min(run.expires, run.server.now() + life_max);
    co_await upload_file(run, artifact_name, content_type, scratch.path, bytes, expires);
    co_await run.log.line(fmt::format("Saved the container's files as an image: {}, {} bytes", artifact_name, bytes));
  }

  Async<std::int64_t> pack(RunContext& run, std::string path) {
    auto tar = co_await run.engine.save_image(reference_);
    auto file = co_await run.env.blocking([path] { return std::make_shared<GzipFile>(path); });
    std::int64_t taken = 0;
    std::int64_t checked = -room_check_bytes;
    for (;;) {
      auto piece = std::make_shared<std::string>(co_await tar->read_some());
      if (piece->empty()) break;
      taken += static_cast<std::int64_t>(piece->size());
      if (taken > saved_bytes_max) {
        throw Error(ErrorCode::too_large, fmt::format("it has more than {} bytes", saved_bytes_max));
      }
      bool look = taken - checked >= room_check_bytes;
      if (look) checked = taken;
      co_await run.env.blocking([file, piece, look, directory = run.settings.spool_directory] {
        if (look) check_room(directory);
        file->write(*piece);
      });
    }
    co_return co_await run.env.blocking([file] { return file->finish(); });
  }

  std::string reference_;  // of the image, once it may be there
};

}  // namespace

std::unique_ptr<Feature> make_docker_save() { return std::make_unique<DockerSave>(); }

}  // namespace gantry::agent
