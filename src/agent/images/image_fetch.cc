// How ImageStore gets an image: by the engine's pull, or from an artifact through the engine's load.
#include <fmt/format.h>

#include "agent/images/archive.h"
#include "agent/images/artifact_source.h"
#include "agent/images/decompress.h"
#include "agent/images/image_job.h"

namespace gantry::agent {
namespace {

std::string share_of(std::int64_t bytes, std::int64_t of) {
  double megabytes = static_cast<double>(bytes) / 1e6;
  if (of <= 0) return fmt::format("{:.1f} MB", megabytes);
  return fmt::format("{:.1f} of {:.1f} MB ({}%)", megabytes, static_cast<double>(of) / 1e6, bytes * 100 / of);
}

/// The first piece goes back in front of the rest.
class Peeked : public net::BodyReader {
 public:
  Peeked(std::string first, std::shared_ptr<net::BodyReader> rest) : first_(std::move(first)), rest_(std::move(rest)) {}
  Async<std::string> read_some() override {
    if (!first_.empty()) co_return std::exchange(first_, {});
    co_return co_await rest_->read_some();
  }

 private:
  std::string first_;
  std::shared_ptr<net::BodyReader> rest_;
};

/// Enough to know a format by.
Async<std::string> peek(net::BodyReader& body) {
  constexpr std::size_t magic_bytes = 4;
  std::string first;
  while (first.size() < magic_bytes) {
    std::string more = co_await body.read_some();
    if (more.empty()) break;
    first += more;
  }
  co_return first;
}

Compression expected_compression(const std::string& path) {
  auto expected = compression_of_name(path);
  if (expected) return *expected;
  throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not the name of an image's archive", path),
              "it must end in .tar, .tar.gz, .tar.zst or .tar.lz4");
}

struct Fetched {
  SpooledArchive archive;
  StreamSum sum;
};

/// Takes the artifact in: what it is compressed with must be what its name says.
Async<Fetched> take_in(Env& env, Download download, Compression expected, std::string directory,
                       std::function<void(std::int64_t)> taken) {
  auto sum = std::make_shared<StreamSum>();
  std::shared_ptr<net::BodyReader> body = download.body;
  auto inner_sum = sum;
  if (download.content_encoding == "gzip") {
    body = decompressed(env, body, Compression::gzip, archive_bytes_max, sum, std::exchange(taken, {}));
    inner_sum = std::make_shared<StreamSum>();
  }
  std::string first = co_await peek(*body);
  Compression found = compression_of_bytes(first);
  if (found != expected) {
    throw Error(ErrorCode::invalid_input, fmt::format("its bytes are {}, and its name says {}", compression_name(found),
                                                      compression_name(expected)));
  }
  body = std::make_shared<Peeked>(std::move(first), std::move(body));
  body = decompressed(env, std::move(body), expected, archive_bytes_max, inner_sum, std::move(taken));
  Fetched fetched;
  fetched.archive = co_await spool_archive(env, std::move(directory), std::move(body));
  fetched.sum = *sum;
  if (download.bytes >= 0 && fetched.sum.bytes != download.bytes) {
    throw Error(ErrorCode::corrupt, fmt::format("{} bytes came of {}", fetched.sum.bytes, download.bytes));
  }
  co_return fetched;
}

Error load_failure(const Error& error, const std::string& path, const std::string& task) {
  return error.in(fmt::format("Could not download artifact \"{}\" of task {}", path, task));
}

}  // namespace

Async<> ImageStore::pull(JobPointer job) {
  ImageName name = parse_image_name(job->wanted.reference);
  bool mirrored = co_await pull_from_mirrors(job, name);
  if (!mirrored) {
    co_await engine_.pull_image(job->wanted.reference, settings_.registries.login_for(name),
                                [job](std::string text) { job->progressed(std::move(text)); });
  }
  co_await record(job, "");
}

/// A mirror that does not have it, or is not there, is no error: the registry itself is asked last.
Async<bool> ImageStore::pull_from_mirrors(JobPointer job, ImageName name) {
  if (name.by_digest) co_return false;  // a digest is no name that an image can be given
  for (const std::string& mirror : settings_.registries.on_mirrors(name)) {
    std::optional<Error> failure;
    try {
      co_await engine_.pull_image(mirror, settings_.registries.login_for(parse_image_name(mirror)),
                                  [job](std::string text) { job->progressed(std::move(text)); });
      co_await engine_.tag_image(mirror, job->wanted.reference);
      co_await engine_.remove_image(mirror);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) {
      job->notes.push_back(fmt::format("Image {} came from the mirror as {}", job->wanted.reference, mirror));
      co_return true;
    }
    job->notes.push_back(fmt::format("The mirror did not give it: {}", failure->message()));
  }
  co_return false;
}

Async<> ImageStore::load(JobPointer job) {
  const Wanted& wanted = job->wanted;
  std::optional<Error> failure;
  std::optional<Fetched> fetched;
  std::optional<ArchivedImage> image;
  try {
    Compression expected = expected_compression(wanted.path);
    // Any run that waits may have it. Their number changes while this one waits: nothing of it is kept.
    if (job->waiters.empty()) throw Error(ErrorCode::cancelled, "nobody waits for it");
    RunContext& asker = *job->waiters.front();
    ServerApi& server = asker.server;
    std::string url = co_await find_artifact(server, asker.signer, wanted.task, wanted.path);
    Download download = co_await open_artifact(server, std::move(url));
    auto taken = [job, of = download.bytes](std::int64_t bytes) {
      job->progressed("downloaded " + share_of(bytes, of));
    };
    fetched = co_await take_in(env_, std::move(download), expected, spool_directory_, taken);
    image = co_await find_image(env_, fetched->archive);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    bool told = failure->message().starts_with("Could not download artifact");
    throw told ? *failure : load_failure(*failure, wanted.path, wanted.task);
  }
  auto sent = [job](std::int64_t bytes, std::int64_t of) {
    job->progressed("given to the engine " + share_of(bytes, of));
    job->moves_unseen = bytes == of;
  };
  ImageTar tar = rewritten(env_, fetched->archive, *image, wanted.reference, sent);
  co_await engine_.load_image(tar.body, tar.bytes);
  job->moves_unseen = false;
  co_await record(job, hex(fetched->sum.sha256));
}

}  // namespace gantry::agent
