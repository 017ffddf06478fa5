// The oracle by Jetty: Jetty PORT [STORE], with HTTP/2 in TLS or in clear text.
import java.io.IOException;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.util.*;
import java.util.function.Supplier;
import javax.servlet.http.*;
import org.eclipse.jetty.alpn.server.ALPNServerConnectionFactory;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http2.server.*;
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.server.handler.AbstractHandler;
import org.eclipse.jetty.util.ssl.SslContextFactory;

public class Jetty extends AbstractHandler {
    static String hash(byte[] octets) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(octets));
        } catch (Exception error) {
            throw new RuntimeException(error);
        }
    }

    static int number(HttpServletRequest request, String name, int none) {
        for (String part : String.valueOf(request.getQueryString()).split("&"))
            if (part.startsWith(name + "=")) return Integer.parseInt(part.substring(name.length() + 1));
        return none;
    }

    @Override
    public void handle(String path, Request base, HttpServletRequest request, HttpServletResponse response) throws IOException {
        base.setHandled(true);
        byte[] got = request.getInputStream().readAllBytes();
        String query = request.getQueryString();
        String target = request.getRequestURI() + (query == null ? "" : "?" + query);
        response.setStatus(number(request, "status", 200));
        response.setHeader("x-got", request.getMethod() + " " + target + " " + got.length + " " + hash(got));
        int length = Integer.parseInt(request.getRequestURI().split("/")[2]);
        byte[] body = hash(target.getBytes()).repeat(length / 64 + 1).substring(0, length).getBytes();
        if (query != null && query.contains("trailers")) {
            HttpFields fields = new HttpFields();
            fields.put("x-sum", hash(body));
            response.setHeader("trailer", "x-sum");
            ((Response) response).setTrailers(() -> fields);
        }
        int step = Math.max(1, -Math.floorDiv(-length, number(request, "pieces", 1)));
        OutputStream out = response.getOutputStream();
        for (int from = 0; from < length; from += step) {
            out.write(body, from, Math.min(step, length - from));
            if (step < length) out.flush();
        }
    }

    public static void main(String[] told) throws Exception {
        Server server = new Server();
        HttpConfiguration config = new HttpConfiguration();
        HttpConnectionFactory http1 = new HttpConnectionFactory(config);
        ServerConnector connector;
        if (told.length > 1) {
            config.addCustomizer(new SecureRequestCustomizer(false));
            SslContextFactory.Server tls = new SslContextFactory.Server();
            tls.setKeyStorePath(told[1]);
            tls.setKeyStorePassword("secret");
            ALPNServerConnectionFactory alpn = new ALPNServerConnectionFactory();
            alpn.setDefaultProtocol("http/1.1");
            connector = new ServerConnector(server, new SslConnectionFactory(tls, "alpn"), alpn, new HTTP2ServerConnectionFactory(config), http1);
        } else {
            connector = new ServerConnector(server, http1, new HTTP2CServerConnectionFactory(config));
        }
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(told[0]));
        server.addConnector(connector);
        server.setHandler(new Jetty());
        server.start();
        server.join();
    }
}
