// gst_peer: gst-rtsp-server serving one file, to measure Millrace beside it (bench/run does).
//
//   rtsp://127.0.0.1:PORT/vod    the file from its beginning, a pipeline for each viewer
//   rtsp://127.0.0.1:PORT/live   one pipeline for all: who joins later gets what is sent then
//
// It is set up as its own examples do it: demultiplexed, parsed and payloaded, never encoded. /live
// is the file read in real time for everyone (the library's "shared" media), begun with the first
// viewer and over with the file, so the file must last longer than the measurement. The library's
// defaults hold for the rest: one thread for all clients, as many as it likes for media.
#include <glib-unix.h>
#include <gst/gst.h>
#include <gst/rtsp-server/rtsp-server.h>

#include <cstdio>
#include <memory>
#include <string>

namespace millrace::bench {
namespace {

struct Unref {
  void operator()(gpointer object) const { g_object_unref(object); }
};
template <typename T>
using Owned = std::unique_ptr<T, Unref>;

struct FreeString {
  void operator()(gchar* text) const { g_free(text); }
};
using OwnedString = std::unique_ptr<gchar, FreeString>;

struct Options {
  std::string file;
  int port = 8554;
};

// Prints what is wrong and returns false when the command line cannot be used.
bool ParseOptions(int argc, char** argv, Options* options) {
  gchar* file = nullptr;
  const GOptionEntry entries[] = {
      {"file", 'f', 0, G_OPTION_ARG_FILENAME, &file, "MP4 file of H.264 and AAC", "FILE"},
      {"port", 'p', 0, G_OPTION_ARG_INT, &options->port, "RTSP port (8554)", "PORT"},
      {nullptr, 0, 0, G_OPTION_ARG_NONE, nullptr, nullptr, nullptr}};
  GOptionContext* context = g_option_context_new("- gst-rtsp-server as a peer of benchmarks");
  g_option_context_add_main_entries(context, entries, nullptr);
  GError* error = nullptr;
  const bool parsed = g_option_context_parse(context, &argc, &argv, &error) != 0;
  g_option_context_free(context);
  const OwnedString owned_file(file);
  if (!parsed) {
    std::fprintf(stderr, "gst_peer: %s; see --help\n", error->message);
    g_error_free(error);
    return false;
  }
  if (file == nullptr || !g_file_test(file, G_FILE_TEST_IS_REGULAR)) {
    std::fprintf(stderr, "gst_peer: no file '%s'; name an MP4 file with --file\n",
                 file == nullptr ? "" : file);
    return false;
  }
  options->file = file;
  return true;
}

// The pipeline that the library makes of every media, in gst-launch's notation.
std::string Pipeline(const std::string& file) {
  const OwnedString quoted(g_strescape(file.c_str(), nullptr));
  return "( filesrc location=\"" + std::string(quoted.get()) +
         "\" ! qtdemux name=demux "
         "demux.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 "
         "demux.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )";
}

// A shared file could be sought in, and the library would do so for every viewer that comes: all
// would begin anew with him. What is live cannot be, so that is what it is told.
GstPadProbeReturn SayNotSeekable(GstPad*, GstPadProbeInfo* info, gpointer) {
  GstQuery* query = gst_pad_probe_info_get_query(info);
  if (GST_QUERY_TYPE(query) != GST_QUERY_SEEKING) return GST_PAD_PROBE_OK;
  gst_query_set_seeking(query, GST_FORMAT_TIME, FALSE, 0, -1);
  return GST_PAD_PROBE_HANDLED;
}

void MakeUnseekable(GstRTSPMediaFactory*, GstRTSPMedia* media, gpointer) {
  const Owned<GstElement> element(gst_rtsp_media_get_element(media));
  for (const char* name : {"pay0", "pay1"}) {
    const Owned<GstElement> pay(gst_bin_get_by_name(GST_BIN(element.get()), name));
    const Owned<GstPad> pad(gst_element_get_static_pad(pay.get(), "src"));
    gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_QUERY_UPSTREAM, SayNotSeekable, nullptr,
                      nullptr);
  }
}

void AddMount(GstRTSPServer* server, const char* path, const std::string& pipeline, bool shared) {
  GstRTSPMediaFactory* factory = gst_rtsp_media_factory_new();
  gst_rtsp_media_factory_set_launch(factory, pipeline.c_str());
  gst_rtsp_media_factory_set_shared(factory, shared ? TRUE : FALSE);
  if (shared) g_signal_connect(factory, "media-configure", G_CALLBACK(MakeUnseekable), nullptr);
  const Owned<GstRTSPMountPoints> mounts(gst_rtsp_server_get_mount_points(server));
  gst_rtsp_mount_points_add_factory(mounts.get(), path, factory);  // takes the factory
}

gboolean Quit(gpointer loop) {
  g_main_loop_quit(static_cast<GMainLoop*>(loop));
  return G_SOURCE_CONTINUE;
}

int Serve(const Options& options) {
  const Owned<GstRTSPServer> server(gst_rtsp_server_new());
  gst_rtsp_server_set_address(server.get(), "127.0.0.1");
  gst_rtsp_server_set_service(server.get(), std::to_string(options.port).c_str());
  gst_rtsp_server_set_backlog(server.get(), 1024);
  const std::string pipeline = Pipeline(options.file);
  AddMount(server.get(), "/vod", pipeline, false);
  AddMount(server.get(), "/live", pipeline, true);
  if (gst_rtsp_server_attach(server.get(), nullptr) == 0) {
    std::fprintf(stderr, "gst_peer: cannot listen on 127.0.0.1:%d; give another --port\n",
                 options.port);
    return 1;
  }
  GMainLoop* loop = g_main_loop_new(nullptr, FALSE);
  g_unix_signal_add(SIGTERM, Quit, loop);
  g_unix_signal_add(SIGINT, Quit, loop);
  std::printf("gst_peer: rtsp://127.0.0.1:%d/vod and /live\n", options.port);
  std::fflush(stdout);
  g_main_loop_run(loop);
  g_main_loop_unref(loop);
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
  millrace::bench::Options options;
  if (!millrace::bench::ParseOptions(argc, argv, &options)) return 2;
  gst_init(nullptr, nullptr);
  return millrace::bench::Serve(options);
}
