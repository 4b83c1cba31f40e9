// artifact_upload_ratio: a task has written a file of 2 GB (random bytes); the speed at which that becomes a stored
// artifact, from its container's end to the run's report, over the speed of `cp` of a file of that size into the same
// disk, with fsync. artifact_upload_rss_mb: the most memory that `gantry dev`, server and agent together, has resident
// meanwhile.
#include "bench/common_client.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

std::int64_t peak_rss_kb(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6));
  }
  return 0;
}

/// Begins the peak anew.
void reset_peak(pid_t process) { std::ofstream(fmt::format("/proc/{}/clear_refs", process)) << "5"; }

Async<> upload(Client& client, std::int64_t mib, double& took_s) {
  std::string script = fmt::format("dd if=/dev/urandom of=/file bs=1M count={} 2>/dev/null", mib);
  TaskId id = co_await client.create({"sh", "-c", script}, "/file");
  json::value task = co_await client.resolved(id);
  if (task.at("state").as_string() != "completed") throw Error(ErrorCode::internal, "the task did not complete");
  auto exited = step_time(task, "exited");
  auto logged = step_time(task, "logged");
  if (!exited || !logged) throw Error(ErrorCode::internal, "the task has no timeline");
  took_s = static_cast<double>((*logged - *exited).count()) / 1000;
}

/// Of a file that is in the page cache, as the container's is, to a new one beside it that is synced.
double copy_s(const std::string& directory, std::int64_t mib) {
  std::string from = directory + "/from";
  std::string to = directory + "/to";
  std::string make = fmt::format("dd if=/dev/urandom of={} bs=1M count={} 2>/dev/null", from, mib);
  if (std::system(make.c_str()) != 0) throw Error(ErrorCode::internal, "the file to copy could not be made");
  auto begin = std::chrono::steady_clock::now();  // tidy: allow(clock) because it measures
  if (std::system(fmt::format("cp {} {} && sync {}", from, to, to).c_str()) != 0) {
    throw Error(ErrorCode::internal, "cp failed");
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;  // tidy: allow(clock) as above
  std::filesystem::remove(from);
  std::filesystem::remove(to);
  return took.count();
}

void measure(const Options& options, Report& report) {
  DevServer server;
  Loop loop;
  Client client(loop.env(), server);
  std::int64_t mib = options.quick ? 512 : 2048;
  std::vector<double> ratios;
  std::int64_t peak_kb = 0;
  for (int round = 0; round < (options.quick ? 1 : 3); ++round) {
    double cp_s = copy_s(server.directory(), mib);
    reset_peak(server.process());
    double upload_s = 0;
    loop.run(upload(client, mib, upload_s));
    peak_kb = std::max(peak_kb, peak_rss_kb(server.process()));
    ratios.push_back(cp_s / upload_s);
    report.note(fmt::format("{} MiB: cp {:.2f} s, upload {:.2f} s", mib, cp_s, upload_s));
  }
  report.add("artifact_upload_ratio", percentile(ratios, 0.5), "ratio", "higher");
  report.add("artifact_upload_rss_mb", static_cast<double>(peak_kb) * 1024 / 1e6, "MB", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
