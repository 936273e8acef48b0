import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Hello {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getProperty("server.port"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            long megabytes = Runtime.getRuntime().maxMemory() / 1024 / 1024;
            byte[] body = ("Hello from Java, heap below 400 MB: " + (megabytes < 400)).getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }
}
