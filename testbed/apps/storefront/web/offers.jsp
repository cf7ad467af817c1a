<%@ page session="false" contentType="text/html" import="storefront.Catalog,storefront.Product" %>
<html><head><title>Offers</title></head><body>
<%@ include file="/WEB-INF/fragments/banner.jspf" %>
<h1>Offers of the week</h1>
<ul>
<% for (int id = 3; id < 600; id += 40) { Product p = Catalog.get().find(id); %>
  <li><a href="/product.jsp?id=<%= p.id() %>"><%= p.name() %></a> now for <%= p.cents() * 9 / 1000 %> euros</li>
<% } %>
</ul>
</body></html>
