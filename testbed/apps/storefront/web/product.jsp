<%@ page session="false" contentType="text/html" import="storefront.Catalog,storefront.Product" %>
<%
  Product product = Catalog.get().find(Integer.parseInt(request.getParameter("id")));
  if (product == null) {
    response.sendError(404);
    return;
  }
%>
<html><head><title><%= product.name() %></title></head><body>
<%@ include file="/WEB-INF/fragments/banner.jspf" %>
<h1><%= product.name() %></h1>
<p><%= product.text() %></p>
<p class="price"><%= product.price() %></p>
<h2>Much like it</h2>
<ul>
<% for (Product p : Catalog.get().similar(product)) { %>
  <li><a href="/product.jsp?id=<%= p.id() %>"><%= p.name() %></a> <%= p.price() %></li>
<% } %>
</ul>
</body></html>
