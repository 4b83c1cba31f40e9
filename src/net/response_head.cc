#include "net/response_head.h"

#include <iterator>

#include <fmt/compile.h>
#include <fmt/format.h>

#include "net/text.h"

namespace gantry::net {
namespace {

/// Headers that say how the bytes travel: the server's own business.
bool is_framing_header(std::string_view name) {
  switch (name.size()) {
    case 4: return equals_ignoring_case(name, "date");
    case 10: return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
    case 14: return equals_ignoring_case(name, "content-length");
    case 17: return equals_ignoring_case(name, "transfer-encoding");
    default: return false;
  }
}

void append_clean(std::string& out, std::string_view text) {
  if (is_header_text(text)) {
    out += text;
    return;
  }
  for (char c : text) out += is_header_text({&c, 1}) ? c : ' ';
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

ResponsePlan plan_response(const Response& response, Method method, bool http11, bool keep_alive) {
  ResponsePlan plan;
  plan.http11 = http11;
  plan.keep_alive = keep_alive && !list_has_token(response.headers.get("Connection"), "close");
  plan.send_body = method != Method::head && !has_no_body(response.status);
  if (has_no_body(response.status)) {
    plan.framing = Framing::none;
  } else if (!response.stream) {
    plan.length = static_cast<std::int64_t>(response.body.size());
  } else if (response.stream_bytes >= 0) {
    plan.length = response.stream_bytes;
  } else {
    plan.framing = http11 ? Framing::chunked : Framing::until_close;
    if (plan.framing == Framing::until_close && plan.send_body) plan.keep_alive = false;
  }
  return plan;
}

void append_response_head(std::string& out, const Response& response, const ResponsePlan& plan, std::string_view date) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("HTTP/1.1 {} {}\r\n"), response.status,
                 status_text(response.status));
  out += "Date: ";
  out += date;
  out += "\r\n";
  for (const auto& [name, value] : response.headers.entries()) {
    if (is_framing_header(name)) continue;
    append_clean(out, name);
    out += ": ";
    append_clean(out, value);
    out += "\r\n";
  }
  // A HEAD handler that knows the length of what it does not send says so itself.
  std::string_view stated = plan.send_body ? std::string_view() : response.headers.get("Content-Length");
  if (!stated.empty() && plan.framing != Framing::none) {
    out += "Content-Length: ";
    append_clean(out, stated);
    out += "\r\n";
  } else if (plan.framing == Framing::length) {
    fmt::format_to(std::back_inserter(out), FMT_COMPILE("Content-Length: {}\r\n"), plan.length);
  } else if (plan.framing == Framing::chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (response.status == 101) {
    out += "Connection: Upgrade\r\n";
  } else if (!plan.keep_alive) {
    out += "Connection: close\r\n";
  } else if (!plan.http11) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
}

std::string http_date(Time time) {
  static constexpr std::array<std::string_view, 7> weekdays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto day = std::chrono::floor<days>(time);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss clock(std::chrono::floor<seconds>(time - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", weekdays[std::chrono::weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace gantry::net
