#include "server/output/metrics.h"

#include <fstream>
#include <map>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include "server/output/outbox.h"
#include "server/output/pulse.h"

namespace gantry::server {
namespace {

const prometheus::Histogram::BucketBoundaries seconds_buckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                                 0.05,   0.1,   0.5,    1,     5,    30};

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

struct Metrics::Families {
  explicit Families(prometheus::Registry& registry)
      : requests(prometheus::BuildCounter().Name("gantry_requests_total").Help("Answered requests").Register(registry)),
        durations(prometheus::BuildHistogram()
                      .Name("gantry_request_seconds")
                      .Help("Time from a request's header to its answer, waiting for news included")
                      .Register(registry)),
        gauges(prometheus::BuildGauge().Name("gantry_state").Help("Records in memory, by kind").Register(registry)),
        pending(prometheus::BuildGauge()
                    .Name("gantry_pending_tasks")
                    .Help("Tasks waiting to be claimed, by task queue")
                    .Register(registry)),
        commits(prometheus::BuildGauge()
                    .Name("gantry_commits")
                    .Help("Commits, groups of commits, rows, and groups that failed, since the start")
                    .Register(registry)),
        outbox(prometheus::BuildGauge()
                   .Name("gantry_outbox")
                   .Help("The log of events for other systems: how many it has, and their bytes")
                   .Register(registry)),
        pulse(
            prometheus::BuildGauge()
                .Name("gantry_pulse")
                .Help("The message broker: connected (1 or 0), messages it has confirmed and events that were dropped "
                      "before it took them since the start, and the age in seconds of the oldest it has yet to confirm")
                .Register(registry)),
        resident(prometheus::BuildGauge()
                     .Name("process_resident_memory_bytes")
                     .Help("Memory in use")
                     .Register(registry)
                     .Add({})) {}

  /// Looked up once a method and status.
  struct PerMethod {
    std::map<int, prometheus::Counter*> by_status;
    prometheus::Histogram* duration = nullptr;
  };

  prometheus::Family<prometheus::Counter>& requests;
  prometheus::Family<prometheus::Histogram>& durations;
  prometheus::Family<prometheus::Gauge>& gauges;
  prometheus::Family<prometheus::Gauge>& pending;
  prometheus::Family<prometheus::Gauge>& commits;
  prometheus::Family<prometheus::Gauge>& outbox;
  prometheus::Family<prometheus::Gauge>& pulse;
  prometheus::Gauge& resident;
  std::map<std::string, PerMethod, std::less<>> methods;
  std::map<std::string, prometheus::Gauge*> pending_gauges;
};

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>()), families_(std::make_unique<Families>(*registry_)) {}

Metrics::~Metrics() = default;

void Metrics::count_request(std::string_view method_name, int status, std::int64_t duration_us) {
  auto method = families_->methods.find(method_name);
  if (method == families_->methods.end()) {
    method = families_->methods.emplace(std::string(method_name), Families::PerMethod()).first;
    method->second.duration = &families_->durations.Add({{"method", method->first}}, seconds_buckets);
  }
  prometheus::Counter*& counter = method->second.by_status[status];
  if (!counter) {
    counter = &families_->requests.Add({{"method", method->first}, {"status", std::to_string(status)}});
  }
  counter->Increment();
  method->second.duration->Observe(static_cast<double>(duration_us) / 1e6);
}

void Metrics::set_gauges(const Services& services) {
  const state::State& state = services.commits.state();
  auto set = [](prometheus::Family<prometheus::Gauge>& family, const char* kind, double value) {
    family.Add({{"kind", kind}}).Set(value);
  };
  set(families_->gauges, "tasks", static_cast<double>(state.table<state::Task>().size()));
  set(families_->gauges, "artifacts", static_cast<double>(state.table<state::Artifact>().size()));
  set(families_->gauges, "allocations", static_cast<double>(state.table<state::Allocation>().size()));
  set(families_->gauges, "nodes", static_cast<double>(state.table<state::Node>().size()));
  set(families_->gauges, "stored_tasks", static_cast<double>(services.cold.known().size()));
  const CommitLoop::Metrics& commits = services.commits.metrics();
  set(families_->commits, "commits", static_cast<double>(commits.commits));
  set(families_->commits, "groups", static_cast<double>(commits.groups));
  set(families_->commits, "rows", static_cast<double>(commits.rows));
  set(families_->commits, "failed_groups", static_cast<double>(commits.failed_groups));
  set(families_->outbox, "events", static_cast<double>(services.outbox->newest() - services.outbox->floor()));
  set(families_->outbox, "bytes", static_cast<double>(services.outbox->bytes()));
  if (services.pulse) {
    Pulse::Numbers numbers = services.pulse->numbers();
    set(families_->pulse, "connected", numbers.connected ? 1 : 0);
    set(families_->pulse, "published", static_cast<double>(numbers.published));
    set(families_->pulse, "lost", static_cast<double>(numbers.lost));
    set(families_->pulse, "lag_seconds", numbers.lag_seconds);
  }
  for (auto& [queue, gauge] : families_->pending_gauges) gauge->Set(0);
  for (const auto& [queue, line] : state.pending_lines()) {
    prometheus::Gauge*& gauge = families_->pending_gauges[queue];
    if (!gauge) gauge = &families_->pending.Add({{"queue", queue}});
    gauge->Set(static_cast<double>(line.size()));
  }
  families_->resident.Set(resident_bytes());
}

std::string Metrics::text(const Services& services) {
  set_gauges(services);
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace gantry::server
